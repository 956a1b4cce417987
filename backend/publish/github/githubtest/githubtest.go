// Package githubtest is a server that speaks the part of GitHub's API that publishes
// releases, with faults that a test switches on. Every request and every answer is held
// to GitHub's own description of its API. It is for tests alone.
//
// openapi.json is a part of that description: the operations of releases and their
// assets with the schemas that they use, from api.github.com.json of the npm package
// @octokit/openapi 23.0.2 (MIT licence), without examples and texts.
package githubtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

//go:embed openapi.json
var description []byte

// Hub is one server with one repository, OWNER/images.
type Hub struct {
	URL   string
	Token string // that it accepts

	// Fault is called before each request to the API and to the uploads is answered. If it
	// returns true it has answered itself. It may be nil.
	Fault func(w http.ResponseWriter, r *http.Request) bool
	// NoDigest makes the server one that computes no digests of assets. Spoil changes the
	// bytes of an asset as they are stored. Private hides assets from readers without the
	// token. Renamed answers requests for OWNER/images with the address of OWNER/renamed.
	NoDigest, Private, Renamed bool
	Spoil                      func(name string, data []byte) []byte

	t      testing.TB
	server *httptest.Server
	router routers.Router

	mu       sync.Mutex
	next     int64
	releases []*release
	Requests []string // method, path and query of each request to the API
}

type release struct {
	id              int64
	Tag, Name, Body string
	Draft           bool
	Latest          string // make_latest of the request that published it
	created         time.Time
	assets          []*asset
}

type asset struct {
	id          int64
	name, media string
	data        []byte
	whole       bool
}

// bent changes the answers about assets, for the test of this package.
var bent func(map[string]any)

// Owner and Repo name the repository.
const (
	Owner = "owner"
	Repo  = "images"
)

// Start starts a server; the variables that name it are set for the test.
func Start(t testing.TB) *Hub {
	t.Helper()
	h := &Hub{t: t, Token: "token-of-the-test", next: 1}
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		t.Fatal(err)
	}
	doc.Servers = nil
	for _, p := range doc.Paths.Map() {
		p.Servers = nil
		for _, op := range p.Operations() {
			op.Servers = nil
		}
	}
	if h.router, err = gorillamux.NewRouter(doc); err != nil {
		t.Fatal(err)
	}
	h.server = httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(h.server.Close)
	h.URL = h.server.URL
	if set, ok := t.(interface{ Setenv(name, value string) }); ok {
		set.Setenv("GITHUB_API_URL", h.URL+"/api")
		set.Setenv("GITHUB_SERVER_URL", h.URL)
	}
	return h
}

// Auth returns the token, as a github.Token.
func (h *Hub) Auth(context.Context) (token, from string, err error) { return h.Token, "the test", nil }

// Public returns the published release with the tag as asset names and bytes; nil if
// there is none.
func (h *Hub) Public(tag string) map[string][]byte { return h.files(tag, false) }

// Drafts returns the number of drafts.
func (h *Hub) Drafts() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.releases {
		if r.Draft {
			n++
		}
	}
	return n
}

// Latest returns make_latest of the published release with the tag.
func (h *Hub) Latest(tag string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.releases {
		if r.Tag == tag && !r.Draft {
			return r.Latest
		}
	}
	return ""
}

// Drop removes an asset of a draft, as an interrupted replacement leaves it.
func (h *Hub) Drop(tag, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.releases {
		if r.Tag == tag {
			r.assets = slices.DeleteFunc(r.assets, func(a *asset) bool { return a.name == name })
		}
	}
}

// Releases returns the number of releases, drafts among them.
func (h *Hub) Releases() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.releases)
}

func (h *Hub) files(tag string, draft bool) map[string][]byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.releases {
		if r.Tag == tag && r.Draft == draft {
			out := map[string][]byte{}
			for _, a := range r.assets {
				out[a.name] = bytes.Clone(a.data)
			}
			return out
		}
	}
	return nil
}

// Alter changes the stored bytes of an asset. GitHub has no such operation.
func (h *Hub) Alter(tag, name string, change func([]byte) []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.releases {
		for _, a := range r.assets {
			if r.Tag == tag && a.name == name {
				a.data = change(bytes.Clone(a.data))
			}
		}
	}
}

func (h *Hub) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/api/"), strings.HasPrefix(r.URL.Path, "/uploads/"):
		h.mu.Lock()
		h.Requests = append(h.Requests, r.Method+" "+r.URL.RequestURI())
		fault := h.Fault
		h.mu.Unlock()
		if fault != nil && fault(w, r) {
			return
		}
		r.URL.Path = strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/api"), "/uploads")
		h.checked(w, r)
	default:
		h.public(w, r)
	}
}

// SetFault sets Fault while requests may run.
func (h *Hub) SetFault(f func(w http.ResponseWriter, r *http.Request) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Fault = f
}

// checked answers a request to the API, and compares request and answer with the
// description.
func (h *Hub) checked(w http.ResponseWriter, r *http.Request) {
	if got := r.Header.Get("Authorization"); got != "Bearer "+h.Token {
		Answer(w, http.StatusUnauthorized, map[string]string{"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest", "status": "401"})
		return
	}
	repo := "/repos/" + Owner + "/" + Repo
	if h.Renamed {
		if r.URL.Path == repo {
			w.Header().Set("Location", h.URL+"/api/repos/"+Owner+"/renamed")
			Answer(w, http.StatusMovedPermanently, map[string]string{"message": "Moved Permanently"})
			return
		}
		repo = "/repos/" + Owner + "/renamed"
	}
	if r.Method == http.MethodGet && r.URL.Path == repo {
		Answer(w, http.StatusOK, map[string]any{"id": 1, "name": path.Base(repo), "full_name": Owner + "/" + path.Base(repo), "owner": user(), "private": h.Private, "permissions": map[string]bool{"push": true, "pull": true}})
		return
	}
	if !strings.HasPrefix(r.URL.Path, repo+"/") {
		Answer(w, http.StatusNotFound, map[string]string{"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"})
		return
	}
	route, params, err := h.router.FindRoute(r)
	if err != nil {
		h.t.Errorf("%s %s is no operation of the description: %v", r.Method, r.URL.Path, err)
		Answer(w, http.StatusNotFound, map[string]string{"message": "Not Found"})
		return
	}
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, ExcludeRequestBody: route.Operation.OperationID == "repos/upload-release-asset"}}
	if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
		h.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	rec := httptest.NewRecorder()
	h.answer(rec, r, route.Operation.OperationID, params)
	body := rec.Body.Bytes()
	if json := strings.HasPrefix(rec.Header().Get("Content-Type"), "application/json"); json || len(body) == 0 {
		out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: rec.Code, Header: rec.Header(), Options: &openapi3filter.Options{IncludeResponseStatus: false}}
		out.SetBodyBytes(body)
		if err := openapi3filter.ValidateResponse(r.Context(), out); err != nil {
			h.t.Errorf("the answer to %s %s: %v", r.Method, r.URL.Path, err)
		}
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body)
}

// Answer writes JSON.
func Answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	if v != nil {
		_ = json.NewEncoder(w).Encode(v)
	}
}

func invalid(w http.ResponseWriter, resource, code, field string) {
	Answer(w, http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed", "documentation_url": "https://docs.github.com/rest", "errors": []map[string]string{{"resource": resource, "code": code, "field": field}}})
}

func missing(w http.ResponseWriter) {
	Answer(w, http.StatusNotFound, map[string]string{"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"})
}

func (h *Hub) answer(w http.ResponseWriter, r *http.Request, operation string, params map[string]string) {
	if operation == "repos/upload-release-asset" { // not under the lock: uploads take long
		h.upload(w, r, params)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch operation {
	case "repos/list-releases":
		page, per := number(r, "page", 1), number(r, "per_page", 30)
		var list []any
		for _, one := range h.releases {
			list = append(list, h.json(one))
		}
		from, to := min((page-1)*per, len(list)), min(page*per, len(list))
		if to < len(list) {
			w.Header().Set("Link", fmt.Sprintf(`<%s/api/repos/%s/%s/releases?page=%d&per_page=%d>; rel="next"`, h.URL, Owner, Repo, page+1, per))
		}
		Answer(w, http.StatusOK, append([]any{}, list[from:to]...))
	case "repos/create-release":
		var in struct {
			Tag   string `json:"tag_name"`
			Name  string
			Body  string
			Draft bool
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil || in.Tag == "" {
			invalid(w, "Release", "missing_field", "tag_name")
			return
		}
		one := &release{id: h.id(), Tag: in.Tag, Name: in.Name, Body: in.Body, Draft: in.Draft, created: time.Now().UTC()}
		h.releases = append(h.releases, one)
		Answer(w, http.StatusCreated, h.json(one))
	case "repos/update-release":
		one := h.find(params["release_id"])
		if one == nil {
			missing(w)
			return
		}
		var in struct {
			Tag    *string `json:"tag_name"`
			Draft  *bool
			Latest string `json:"make_latest"`
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		if in.Draft != nil && one.Draft && !*in.Draft {
			for _, other := range h.releases {
				if other != one && other.Tag == one.Tag && !other.Draft {
					invalid(w, "Release", "already_exists", "tag_name")
					return
				}
			}
			one.Draft, one.Latest = false, in.Latest
		}
		Answer(w, http.StatusOK, h.json(one))
	case "repos/list-release-assets":
		one := h.find(params["release_id"])
		if one == nil {
			missing(w)
			return
		}
		list := []any{}
		for _, a := range one.assets {
			list = append(list, h.assetJSON(one, a))
		}
		Answer(w, http.StatusOK, list)
	case "repos/get-release-asset", "repos/delete-release-asset":
		h.one(w, r, params["asset_id"])
	default:
		h.t.Errorf("no answer for %s", operation)
		missing(w)
	}
}

// one answers a request for an asset.
func (h *Hub) one(w http.ResponseWriter, r *http.Request, id string) {
	for _, rel := range h.releases {
		for i, a := range rel.assets {
			if strconv.FormatInt(a.id, 10) != id {
				continue
			}
			switch {
			case r.Method == http.MethodDelete && !rel.Draft:
				invalid(w, "ReleaseAsset", "immutable", "release")
			case r.Method == http.MethodDelete:
				rel.assets = append(rel.assets[:i:i], rel.assets[i+1:]...)
				w.WriteHeader(http.StatusNoContent)
			case strings.Contains(r.Header.Get("Accept"), "octet-stream"):
				w.Header().Set("Content-Type", "application/octet-stream")
				_, _ = w.Write(a.data)
			default:
				Answer(w, http.StatusOK, h.assetJSON(rel, a))
			}
			return
		}
	}
	missing(w)
}

// upload stores an asset. If the connection ends before the body, the asset stays, open,
// under its name.
func (h *Hub) upload(w http.ResponseWriter, r *http.Request, params map[string]string) {
	name := r.URL.Query().Get("name")
	h.mu.Lock()
	rel := h.find(params["release_id"])
	if rel == nil || !rel.Draft {
		h.mu.Unlock()
		_, _ = io.Copy(io.Discard, r.Body)
		if rel == nil {
			missing(w)
		} else {
			invalid(w, "ReleaseAsset", "immutable", "release")
		}
		return
	}
	for _, a := range rel.assets {
		if a.name == name {
			h.mu.Unlock()
			_, _ = io.Copy(io.Discard, r.Body)
			invalid(w, "ReleaseAsset", "already_exists", "name")
			return
		}
	}
	a := &asset{id: h.id(), name: name, media: r.Header.Get("Content-Type")}
	rel.assets = append(rel.assets, a)
	h.mu.Unlock()
	data, err := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	if a.data = data; err != nil {
		return // its sender is gone
	}
	if h.Spoil != nil {
		a.data = h.Spoil(name, data)
	}
	a.whole = true
	Answer(w, http.StatusCreated, h.assetJSON(rel, a))
}

// public answers a reader: an asset of a published release.
func (h *Hub) public(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		h.t.Errorf("GET %s was sent with the token", r.URL.Path)
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/"+Owner+"/"+h.repo()+"/releases/download/")
	tag, name, _ := strings.Cut(rest, "/")
	data, found := h.files(tag, false)[name]
	if !ok || !found || h.Private {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// repo returns the repository's name now.
func (h *Hub) repo() string {
	if h.Renamed {
		return "renamed"
	}
	return Repo
}

func (h *Hub) id() int64 { h.next++; return h.next }

func (h *Hub) find(id string) *release {
	for _, r := range h.releases {
		if strconv.FormatInt(r.id, 10) == id {
			return r
		}
	}
	return nil
}

func number(r *http.Request, name string, standard int) int {
	if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil && n > 0 {
		return n
	}
	return standard
}

func user() map[string]any {
	out := map[string]any{"login": Owner, "id": 1, "node_id": "U_1", "gravatar_id": "", "type": "User", "site_admin": false}
	for _, key := range []string{"avatar_url", "url", "html_url", "followers_url", "following_url", "gists_url", "starred_url", "subscriptions_url", "organizations_url", "repos_url", "events_url", "received_events_url"} {
		out[key] = "https://example.org/" + key
	}
	return out
}

func (h *Hub) json(r *release) map[string]any {
	base := fmt.Sprintf("%s/api/repos/%s/%s/releases/%d", h.URL, Owner, Repo, r.id)
	out := map[string]any{"id": r.id, "node_id": "R_" + strconv.FormatInt(r.id, 10), "tag_name": r.Tag, "name": r.Name, "body": r.Body, "draft": r.Draft, "prerelease": false, "target_commitish": "main",
		"url": base, "assets_url": base + "/assets", "html_url": h.URL + "/" + Owner + "/" + Repo + "/releases/tag/" + r.Tag, "author": user(), "created_at": r.created.Format(time.RFC3339),
		"upload_url": fmt.Sprintf("%s/uploads/repos/%s/%s/releases/%d/assets{?name,label}", h.URL, Owner, h.repo(), r.id), "tarball_url": nil, "zipball_url": nil, "published_at": nil, "immutable": !r.Draft}
	if !r.Draft {
		out["published_at"] = r.created.Format(time.RFC3339)
	}
	list := []any{}
	for _, a := range r.assets {
		list = append(list, h.assetJSON(r, a))
	}
	out["assets"] = list
	return out
}

func (h *Hub) assetJSON(r *release, a *asset) map[string]any {
	now := r.created.Format(time.RFC3339)
	out := map[string]any{"id": a.id, "node_id": "RA_" + strconv.FormatInt(a.id, 10), "name": a.name, "label": "", "content_type": a.media, "state": "open", "size": len(a.data), "digest": nil, "download_count": 0, "uploader": user(),
		"url": fmt.Sprintf("%s/api/repos/%s/%s/releases/assets/%d", h.URL, Owner, Repo, a.id), "browser_download_url": h.URL + "/" + Owner + "/" + Repo + "/releases/download/" + r.Tag + "/" + a.name, "created_at": now, "updated_at": now}
	if a.whole {
		out["state"] = "uploaded"
		if sum := sha256.Sum256(a.data); !h.NoDigest {
			out["digest"] = "sha256:" + hex.EncodeToString(sum[:])
		}
	}
	if bent != nil {
		bent(out)
	}
	return out
}

// Store stores what a request uploads, without an answer.
func (h *Hub) Store(r *http.Request) {
	params := strings.Split(r.URL.Path, "/")
	h.upload(httptest.NewRecorder(), r, map[string]string{"release_id": params[len(params)-2]})
}

// Copy makes another release of the same assets, as anybody could.
func (h *Hub) Copy(tag, as string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.releases {
		if r.Tag == tag {
			h.releases = append(h.releases, &release{id: h.id(), Tag: as, created: r.created, assets: r.assets})
			return
		}
	}
}
