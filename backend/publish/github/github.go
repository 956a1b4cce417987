// Package github publishes releases as GitHub releases.
//
// A release is made as a draft, which only the owner sees; all files become its assets,
// the digests that GitHub has computed of them are compared, and then the draft is
// published at once. Assets have no folders: the files of evidence/ are in evidence.tar.
// A draft that was interrupted is continued: an asset with the right digest is kept, any
// other one is replaced. A published release is never changed. A file that is too large
// for an asset is stored in parts.
//
// External facts: docs.github.com/rest/releases (draft, upload_url, digest, immutable),
// docs.github.com/rest/using-the-rest-api/rate-limits.
package github

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	api "github.com/google/go-github/v88/github"

	"ingot/backend/publish"
)

// Scheme begins the name of a repository as a publisher: github:OWNER/REPO.
const Scheme = "github"

// Token returns the token that GitHub accepts the publisher by, and where it is from.
type Token func(ctx context.Context) (token, from string, err error)

// Repository is a repository on GitHub as a publisher.
type Repository struct {
	Owner, Name string
	token       Token
	api, server string // addresses without the final slash
	part        int64  // size of the assets of a file that is too large for one, in bytes
	limit       int64  // files from this size on are stored in parts
	wait        func(ctx context.Context, d time.Duration) error
}

var names = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9-]{0,38})/([A-Za-z0-9._-]{1,100})$`)

// Open returns a publisher for OWNER/REPO. The variables GITHUB_API_URL and
// GITHUB_SERVER_URL, as GitHub Actions sets them, name another server.
func Open(rest string, token Token) (publish.Publisher, error) {
	r, err := repository(rest)
	if err != nil {
		return nil, err
	}
	r.token = token
	return r, nil
}

func repository(rest string) (*Repository, error) {
	m := names.FindStringSubmatch(rest)
	if m == nil || m[2] == "." || m[2] == ".." {
		return nil, &publish.NameError{Name: Scheme + ":" + rest, Known: []string{Scheme + ":OWNER/REPO"}}
	}
	return &Repository{Owner: m[1], Name: m[2], api: address("GITHUB_API_URL", "https://api.github.com"), server: address("GITHUB_SERVER_URL", "https://github.com"), wait: wait, part: partSize, limit: assetLimit}, nil
}

func address(variable, standard string) string {
	if v := os.Getenv(variable); v != "" {
		return strings.TrimSuffix(v, "/")
	}
	return standard
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// ID returns the repository's address.
func (r *Repository) ID() string { return r.server + "/" + r.Owner + "/" + r.Name }

// Local returns false.
func (r *Repository) Local() bool { return false }

// Tag returns the tag of a release by its folder in other stores.
func Tag(dir string) string { return strings.ReplaceAll(dir, "/", "-") }

// Publish writes a release as a draft and publishes it.
func (r *Repository) Publish(ctx context.Context, rel publish.Release, opt publish.Options) (publish.Receipt, error) {
	dir := rel.Dir()
	d := &draft{repo: r, dir: dir, tag: Tag(dir), title: fmt.Sprintf("%s %s %s %s, %s", rel.OS, rel.Release, rel.Variant, rel.Arch, path.Base(dir)),
		notes: notes(rel), latest: strconv.FormatBool(rel.Proven && !rel.Unscanned), wanted: map[string]bool{}, kept: map[string][]byte{}, parts: map[string]inParts{}, assets: map[string]*api.ReleaseAsset{}}
	return publish.ToStore(ctx, d, rel, opt)
}

// notes returns the text of the release's page.
func notes(r publish.Release) string {
	booted := "These bytes booted; the proof is in evidence.tar."
	if !r.Proven {
		booted = "**Not proven:** these bytes have not been booted."
	}
	if r.Unscanned {
		booted += " **Not scanned:** a file system could not be searched for secrets."
	}
	return booted + "\n\n`SHA256SUMS`, signed with `ingot.pub`, lists every file and those of `evidence.tar`. `lima.yaml` starts the image: `limactl start ADDRESS/lima.yaml`. A file that is larger than an asset can be is in parts: `ingot pull` joins them, and so does `cat NAME.part??? >NAME`.\n"
}

// Probe tests the token and the right to make releases. It writes nothing.
func (r *Repository) Probe(ctx context.Context) ([]publish.Ability, error) {
	c, from, err := r.client(ctx)
	if err != nil {
		return nil, err
	}
	repo, err := r.find(ctx, c)
	found := []publish.Ability{{Name: "read", OK: err == nil, Why: "the repository is found with the token of " + from, Seen: text(err)}}
	if err != nil {
		return found, nil
	}
	push := repo.GetPermissions().GetPush()
	seen := ""
	if !push {
		seen = "the token may not write to the repository"
	}
	return append(found, publish.Ability{Name: "write", OK: push, Why: "releases are made with the right to push", Seen: seen}), nil
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// client returns a client of GitHub's API with the token.
func (r *Repository) client(ctx context.Context) (*api.Client, string, error) {
	if r.token == nil {
		return nil, "", noToken(nil)
	}
	token, from, err := r.token(ctx)
	if err != nil || token == "" {
		return nil, "", noToken(err)
	}
	base := r.api + "/"
	c, err := api.NewClient(api.WithURLs(&base, nil), api.WithAuthToken(token), api.WithHTTPClient(&http.Client{Transport: bounded{silent()}}), api.WithUserAgent("ingot"))
	return c, from, err
}

func noToken(err error) error {
	return &publish.Error{Cause: "publish.credentials", Msg: "there is no token for GitHub", Fix: "set GITHUB_TOKEN, log in with `gh auth login`, or store one: `ingot store login github`", Err: err}
}

// find returns the repository. One that was renamed is found under its new name, under
// which the release is made.
func (r *Repository) find(ctx context.Context, c *api.Client) (repo *api.Repository, err error) {
	err = r.again(ctx, func() error {
		repo, _, err = c.Repositories.Get(ctx, r.Owner, r.Name)
		return holds(err, repo.GetName() != "", "a repository")
	})
	return repo, err
}

// holds returns an error if an answer without an error has not what was asked for: an
// answer that is empty, or that was cut off.
func holds(err error, has bool, what string) error {
	if err == nil && !has {
		return fmt.Errorf("GitHub's answer has not %s", what)
	}
	return err
}

// Limits of repetitions.
const (
	tries    = 6
	longest  = 2 * time.Minute // the longest wait that GitHub can ask for; after a longer one the user tries again
	firstGap = 500 * time.Millisecond
)

// again calls what until it succeeds or cannot: GitHub's own trouble (5xx), a broken
// connection, and a rate limit that ends soon are waited for.
func (r *Repository) again(ctx context.Context, what func() error) error {
	gap := firstGap
	for try := 1; ; try++ {
		err := what()
		if err == nil || try == tries || ctx.Err() != nil {
			return err
		}
		pause, passes := passing(err)
		if !passes || pause > longest {
			return err
		}
		if err := r.wait(ctx, max(pause, gap)); err != nil {
			return err
		}
		gap *= 2
	}
}

// passing reports whether an error may be gone later, and how long GitHub asks to wait.
func passing(err error) (pause time.Duration, passes bool) {
	var limited *api.RateLimitError
	var abuse *api.AbuseRateLimitError
	var answer *api.ErrorResponse
	var stale *staleError
	switch {
	case errors.As(err, &stale):
		return 0, true
	case errors.As(err, &limited):
		return time.Until(limited.Rate.Reset.Time), true
	case errors.As(err, &abuse):
		if abuse.RetryAfter != nil {
			pause = *abuse.RetryAfter
		}
		return pause, true
	case errors.As(err, &answer):
		code := answer.Response.StatusCode
		seconds, perr := strconv.Atoi(answer.Response.Header.Get("Retry-After"))
		return time.Duration(seconds) * time.Second, code >= 500 || perr == nil && (code == http.StatusForbidden || code == http.StatusTooManyRequests)
	}
	var broken *url.Error
	return 0, errors.As(err, &broken) || errors.Is(err, io.ErrUnexpectedEOF)
}

// CauseOf returns the causes of GitHub's answers.
func (d *draft) CauseOf(err error) string {
	var limited *api.RateLimitError
	var abuse *api.AbuseRateLimitError
	var answer *api.ErrorResponse
	switch {
	case errors.As(err, &limited), errors.As(err, &abuse):
		return "publish.rate-limited"
	case errors.As(err, &answer):
		switch code := answer.Response.StatusCode; {
		case code == http.StatusUnauthorized:
			return "publish.credentials"
		case code == http.StatusForbidden:
			return "publish.not-allowed"
		case code == http.StatusNotFound:
			return "publish.no-repository"
		case code == http.StatusUnprocessableEntity:
			return "publish.conflict"
		case code == http.StatusTooManyRequests:
			return "publish.rate-limited"
		case code >= 500:
			return "publish.endpoint-down"
		}
	}
	var broken *url.Error
	if errors.As(err, &broken) && errors.Is(err, io.EOF) { // the server ended the connection
		return "publish.endpoint-down"
	}
	return ""
}

// hashing computes the SHA-256 of what is read, stops when its context is done, and
// reports how much was read.
type hashing struct {
	ctx  context.Context
	r    io.Reader
	n    int64
	sent func(int64)
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
}

func newHashing(ctx context.Context, r io.Reader, sent func(int64)) *hashing {
	return &hashing{ctx: ctx, r: r, sent: sent, hash: sha256.New()}
}

func (h *hashing) Read(p []byte) (int, error) {
	if err := h.ctx.Err(); err != nil {
		return 0, context.Cause(h.ctx)
	}
	n, err := h.r.Read(p)
	_, _ = h.hash.Write(p[:n]) // a hash returns no error
	if h.n += int64(n); h.sent != nil && n > 0 {
		h.sent(h.n)
	}
	return n, err
}

func (h *hashing) digest() string { return hex.EncodeToString(h.hash.Sum(nil)) }
