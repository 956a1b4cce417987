package github

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ingot/backend/cause"
	"ingot/backend/publish"
	"ingot/backend/publish/github/githubtest"
	"ingot/backend/publish/publishtest"
	"ingot/backend/secret"
)

// opened is the repository of the stand-in, whose waits take no time.
func opened(t *testing.T, h *githubtest.Hub) *Repository {
	t.Helper()
	p, err := Open(githubtest.Owner+"/"+githubtest.Repo, h.Auth)
	if err != nil {
		t.Fatal(err)
	}
	r := p.(*Repository)
	r.wait = func(ctx context.Context, d time.Duration) error { return ctx.Err() }
	return r
}

// options are those of one publisher.
func options(t *testing.T) publish.Options {
	s := publishtest.Signer(t)
	return publish.Options{Signer: s, Keys: map[string]ed25519.PublicKey{s.KeyID(): s.Public()}}
}

// released compares a public release with what was published.
func released(t *testing.T, h *githubtest.Hub, r publish.Release, rec publish.Receipt, key string) {
	t.Helper()
	tag := Tag(r.Dir())
	files := h.Public(tag)
	if files == nil {
		t.Fatalf("there is no public release %s", tag)
	}
	for _, name := range []string{r.Files[0].Name, "evidence.tar", "lima.yaml", "manifest.json", "SHA256SUMS", "SHA256SUMS.minisig", "SHA512SUMS", "SHA512SUMS.minisig", "ingot.pub"} {
		if len(files[name]) == 0 {
			t.Errorf("%s is missing", name)
		}
	}
	if len(files) != 9 {
		t.Errorf("%d assets, want 9", len(files))
	}
	nested, err := filesOf(bytes.NewReader(files["evidence.tar"]))
	if err != nil || string(nested["evidence/proof-1.json"]) != "{}" {
		t.Errorf("evidence.tar: %v, %v", nested, err)
	}
	for line := range strings.Lines(string(files["SHA256SUMS"])) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		data, ok := files[name]
		if !ok {
			data, ok = nested[name]
		}
		if got, err := publish.SHA256Of(bytes.NewReader(data)); !ok || err != nil || got.SHA256 != want {
			t.Errorf("SHA256SUMS: %s", line)
		}
	}
	id, pub, err := secret.ParsePublic(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := secret.VerifyMinisignAny(map[string]ed25519.PublicKey{id: pub}, files["SHA256SUMS"], files["SHA256SUMS.minisig"]); !ok {
		t.Error("the signature does not fit")
	}
	if !strings.Contains(string(files["lima.yaml"]), h.URL+"/owner/images/releases/download/"+tag+"/"+r.Files[0].Name) {
		t.Errorf("lima.yaml:\n%s", files["lima.yaml"])
	}
	if !rec.Anonymous || rec.Local || rec.DiskSHA256 != r.Files[0].SHA256 || !strings.HasPrefix(rec.URL, h.URL+"/owner/images/releases/download/"+tag) {
		t.Errorf("%+v", rec)
	}
	if h.Releases() != 1 {
		t.Errorf("%d releases", h.Releases())
	}
}

// A release is published at once, with all files; a second publish changes nothing and
// sends nothing.
func TestPublish(t *testing.T) {
	h := githubtest.Start(t)
	r, opt := publishtest.Release(t, "20261130-1200"), options(t)
	repo := opened(t, h)
	rec, err := repo.Publish(t.Context(), r, opt)
	if err != nil {
		t.Fatal(err)
	}
	released(t, h, r, rec, opt.Signer.MinisignPublic())
	h.Requests = nil
	if again, err := repo.Publish(t.Context(), r, opt); err != nil || again.DiskSHA256 != rec.DiskSHA256 {
		t.Fatalf("%+v, %v", again, err)
	}
	for _, q := range h.Requests {
		if !strings.HasPrefix(q, "GET ") {
			t.Errorf("the second publish asked for %s", q)
		}
	}
	// a newer document is no reason for another release
	r.Files = append(r.Files, publish.File{Name: "evidence/guest-2.json", Data: []byte("{}"), MediaType: "application/json"})
	if _, err := repo.Publish(t.Context(), r, opt); err != nil {
		t.Errorf("with another document: %v", err)
	}
	// other bytes under the same version are a conflict
	other := publishtest.Release(t, "20261130-1200")
	if _, err := repo.Publish(t.Context(), other, opt); cause.IDOf(err) != "publish.conflict" {
		t.Errorf("other bytes: %v", err)
	}
	released(t, h, r, rec, opt.Signer.MinisignPublic())
	found, err := repo.Probe(t.Context())
	if err != nil || len(found) != 2 || !found[0].OK || !found[1].OK {
		t.Errorf("probe: %+v, %v", found, err)
	}
}

// fault returns a function that answers the first n requests that fit as answer does.
func fault(n int32, fits func(*http.Request) bool, answer func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) bool {
	var count atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !fits(r) || count.Add(1) > n {
			return false
		}
		answer(w, r)
		return true
	}
}

func any1(*http.Request) bool      { return true }
func uploads(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/uploads/") }
func diskUpload(r *http.Request) bool {
	return uploads(r) && strings.HasPrefix(r.URL.Query().Get("name"), "disk-")
}
func publishing(r *http.Request) bool { return r.Method == http.MethodPatch }

func says(code int, message string, header ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		githubtest.Answer(w, code, map[string]string{"message": message, "documentation_url": "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"})
	}
}

// cut reads a part of the body and breaks the connection; the asset stays, open.
func cut(h *githubtest.Hub) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}
}

// Faults that pass are waited out, and one whole release is there afterwards.
func TestPassingFaults(t *testing.T) {
	soon := fmt.Sprint(time.Now().Add(time.Second).Unix())
	for name, f := range map[string]func(h *githubtest.Hub) func(http.ResponseWriter, *http.Request) bool{
		"5xx storm": func(*githubtest.Hub) func(http.ResponseWriter, *http.Request) bool { return storm(3) },
		"502 for an asset": func(*githubtest.Hub) func(http.ResponseWriter, *http.Request) bool {
			return fault(2, diskUpload, says(502, "Server Error"))
		},
		"rate limit": func(*githubtest.Hub) func(http.ResponseWriter, *http.Request) bool {
			return fault(1, any1, says(403, "API rate limit exceeded", "X-RateLimit-Limit", "60", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", soon))
		},
		"secondary limit": func(*githubtest.Hub) func(http.ResponseWriter, *http.Request) bool {
			return fault(2, uploads, says(429, "You have exceeded a secondary rate limit", "Retry-After", "1"))
		},
		"cut upload": func(h *githubtest.Hub) func(http.ResponseWriter, *http.Request) bool {
			return fault(2, diskUpload, cut(h))
		},
		"cut publish": func(h *githubtest.Hub) func(http.ResponseWriter, *http.Request) bool {
			return fault(1, publishing, cut(h))
		},
		"lost answer": func(h *githubtest.Hub) func(http.ResponseWriter, *http.Request) bool { return lost(h, diskUpload) },
	} {
		t.Run(name, func(t *testing.T) {
			h := githubtest.Start(t)
			r, opt := publishtest.ReleaseOf(t, "20261130-1200", bytes.Repeat([]byte("disk"), 100000)), options(t)
			repo := opened(t, h)
			repo.wait = func(ctx context.Context, d time.Duration) error {
				select {
				case <-ctx.Done():
				case <-time.After(min(d, 1500*time.Millisecond)):
				}
				return ctx.Err()
			}
			h.SetFault(f(h))
			rec, err := repo.Publish(t.Context(), r, opt)
			if err != nil {
				t.Fatal(err)
			}
			released(t, h, r, rec, opt.Signer.MinisignPublic())
		})
	}
}

// storm answers every nth request with 503.
func storm(n int32) func(http.ResponseWriter, *http.Request) bool {
	var count atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) bool {
		if count.Add(1)%n != 0 || r.Method == http.MethodPost && !uploads(r) {
			return false
		}
		says(503, "Service Unavailable")(w, r)
		return true
	}
}

// lost stores what is uploaded first, and breaks the connection before the answer.
func lost(h *githubtest.Hub, fits func(*http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	var count atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !fits(r) || count.Add(1) > 1 {
			return false
		}
		h.Store(r)
		cut(h)(w, r)
		return true
	}
}

// Faults that stay are errors with their causes, and nothing is public.
func TestLastingFaults(t *testing.T) {
	far := fmt.Sprint(time.Now().Add(time.Hour).Unix())
	for name, c := range map[string]struct {
		set  func(h *githubtest.Hub)
		want string
	}{
		"no network": {func(h *githubtest.Hub) { h.SetFault(fault(1000, any1, cut(h))) }, "publish.endpoint-down"},
		"502":        {func(h *githubtest.Hub) { h.SetFault(fault(1000, diskUpload, says(502, "Server Error"))) }, "publish.endpoint-down"},
		"rate limit": {func(h *githubtest.Hub) {
			h.SetFault(fault(1000, any1, says(403, "API rate limit exceeded", "X-RateLimit-Limit", "60", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", far)))
		}, "publish.rate-limited"},
		"bad token": {func(h *githubtest.Hub) { h.SetFault(fault(1000, any1, says(401, "Bad credentials"))) }, "publish.credentials"},
		"wrong scope": {func(h *githubtest.Hub) {
			h.SetFault(fault(1000, uploads, says(403, "Resource not accessible by personal access token")))
		}, "publish.not-allowed"},
		"no repository": {func(h *githubtest.Hub) { h.SetFault(fault(1000, any1, says(404, "Not Found"))) }, "publish.no-repository"},
		"422":           {func(h *githubtest.Hub) { h.SetFault(fault(1000, publishing, says(422, "Validation Failed"))) }, "publish.conflict"},
		"spoilt asset": {func(h *githubtest.Hub) {
			h.Spoil = func(name string, data []byte) []byte {
				if strings.HasPrefix(name, "disk-") {
					data[0] ^= 1
				}
				return data
			}
		}, "publish.failed"},
		"spoilt, no digests": {func(h *githubtest.Hub) {
			h.NoDigest = true
			h.Spoil = func(name string, data []byte) []byte {
				if name == "lima.yaml" {
					data[0] ^= 1
				}
				return data
			}
		}, "publish.failed"},
		"spoilt bundle": {func(h *githubtest.Hub) {
			h.Spoil = func(name string, data []byte) []byte {
				if name == bundle {
					data[100] ^= 1
				}
				return data
			}
		}, "publish.failed"},
	} {
		t.Run(name, func(t *testing.T) {
			h := githubtest.Start(t)
			c.set(h)
			r, opt := publishtest.ReleaseOf(t, "20261130-1200", bytes.Repeat([]byte("disk"), 100000)), options(t)
			_, err := opened(t, h).Publish(t.Context(), r, opt)
			if cause.IDOf(err) != c.want {
				t.Errorf("%v (%s), want %s", err, cause.IDOf(err), c.want)
			}
			if h.Public(Tag(r.Dir())) != nil || h.Releases() != h.Drafts() {
				t.Error("a release is public")
			}
		})
	}
}

// endless is an answer without an end.
func endless(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	line := bytes.Repeat([]byte(" "), 1<<20)
	for {
		if _, err := w.Write(line); err != nil {
			return
		}
	}
}

// An answer without an end is cut off, and is an error.
func TestEndless(t *testing.T) {
	h := githubtest.Start(t)
	h.SetFault(fault(1000, any1, endless))
	r, opt := publishtest.ReleaseOf(t, "20261130-1200", []byte("disk")), options(t)
	if _, err := opened(t, h).Publish(t.Context(), r, opt); cause.ClassOf(err) != cause.Publish {
		t.Errorf("%v", err)
	}
}

// What is not proven never becomes the release that GitHub calls the latest.
func TestLatest(t *testing.T) {
	h := githubtest.Start(t)
	r, opt := publishtest.ReleaseOf(t, "20261130-1200", []byte("disk")), options(t)
	r.Proven, opt.AllowUnproven = false, true
	if _, err := opened(t, h).Publish(t.Context(), r, opt); err != nil || h.Latest(Tag(r.Dir())) != "false" {
		t.Errorf("%v, latest: %q", err, h.Latest(Tag(r.Dir())))
	}
}

// A file of a few bytes in a tar can have any size: it is refused before it is read.
func TestSparseTar(t *testing.T) {
	if _, err := filesOf(bytes.NewReader(tarWithSize(t, smallAsset+1))); err == nil || !strings.Contains(err.Error(), "more than 64 MiB") {
		t.Errorf("%v", err)
	}
}

// tarWithSize is the beginning of a tar with a file of that size.
func tarWithSize(t *testing.T, size int64) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Name: "evidence/x", Typeflag: tar.TypeReg, Size: size, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A server without digests is asked for the bytes.
func TestNoDigest(t *testing.T) {
	h := githubtest.Start(t)
	h.NoDigest = true
	r, opt := publishtest.ReleaseOf(t, "20261130-1200", bytes.Repeat([]byte("disk"), 1000)), options(t)
	rec, err := opened(t, h).Publish(t.Context(), r, opt)
	if err != nil {
		t.Fatal(err)
	}
	released(t, h, r, rec, opt.Signer.MinisignPublic())
}

// A renamed repository is found. A private one is refused before a release is made.
func TestRenamedAndPrivate(t *testing.T) {
	h := githubtest.Start(t)
	h.Private = true
	defer func(h *githubtest.Hub) {
		if h.Releases() != 0 {
			t.Error("a private repository got a release")
		}
	}(h)
	r, opt := publishtest.ReleaseOf(t, "20261130-1200", bytes.Repeat([]byte("disk"), 1000)), options(t)
	if _, err := opened(t, h).Publish(t.Context(), r, opt); cause.IDOf(err) != "publish.not-public" {
		t.Errorf("a private repository: %v", err)
	}
	h = githubtest.Start(t)
	h.Renamed = true
	if _, err := opened(t, h).Publish(t.Context(), r, opt); err != nil {
		t.Errorf("a renamed repository: %v", err)
	}
}

// An interrupted publish is continued: what is whole is kept, what is not is replaced,
// and what does not belong to it is removed.
func TestResume(t *testing.T) {
	h := githubtest.Start(t)
	r, opt := publishtest.Release(t, "20261130-1200"), options(t)
	repo := opened(t, h)
	h.SetFault(fault(1000, publishing, says(403, "no")))
	if _, err := repo.Publish(t.Context(), r, opt); err == nil || h.Drafts() != 1 {
		t.Fatalf("%v, %d drafts", err, h.Drafts())
	}
	tag := Tag(r.Dir())
	h.Alter(tag, "lima.yaml", func(b []byte) []byte { return append(b, '#') })
	h.SetFault(nil)
	h.Requests = nil
	rec, err := repo.Publish(t.Context(), r, opt)
	if err != nil {
		t.Fatal(err)
	}
	released(t, h, r, rec, opt.Signer.MinisignPublic())
	sent := 0
	for _, q := range h.Requests {
		if strings.HasPrefix(q, "POST /uploads/") {
			sent++
		}
	}
	if sent == 0 || sent > 7 { // lima.yaml, and what lists it; never the disk
		t.Errorf("%d uploads", sent)
	}
	if h.Latest(tag) != "true" {
		t.Errorf("a proven release is made the latest one: %q", h.Latest(tag))
	}
	// whatever a draft lacks, once its lists are there, is put into it
	for _, lost := range []string{bundle, "lima.yaml", "SHA256SUMS", "SHA256SUMS.minisig", "manifest.json", "ingot.pub"} {
		h := githubtest.Start(t)
		repo := opened(t, h)
		h.SetFault(fault(1000, publishing, says(403, "no")))
		if _, err := repo.Publish(t.Context(), r, opt); err == nil {
			t.Fatal("published")
		}
		h.SetFault(nil)
		h.Drop(tag, lost)
		rec, err := repo.Publish(t.Context(), r, opt)
		if err != nil {
			t.Fatalf("without %s: %v", lost, err)
		}
		released(t, h, r, rec, opt.Signer.MinisignPublic())
	}
	// another key of the publisher's, which signs what it goes on with
	h = githubtest.Start(t)
	repo = opened(t, h)
	h.SetFault(fault(1000, publishing, says(403, "no")))
	if _, err := repo.Publish(t.Context(), r, opt); err == nil {
		t.Fatal("published")
	}
	h.SetFault(nil)
	now := options(t)
	maps.Copy(now.Keys, opt.Keys)
	if rec, err = repo.Publish(t.Context(), r, now); err != nil {
		t.Fatal(err)
	}
	released(t, h, r, rec, now.Signer.MinisignPublic())
	// another disk takes the place of what a draft has
	h = githubtest.Start(t)
	repo = opened(t, h)
	h.SetFault(fault(1000, publishing, says(403, "no")))
	if _, err := repo.Publish(t.Context(), r, opt); err == nil {
		t.Fatal("published")
	}
	h.SetFault(nil)
	other := publishtest.Release(t, "20261130-1200")
	other.Files[0].Name = "other.qcow2"
	if rec, err = repo.Publish(t.Context(), other, opt); err != nil {
		t.Fatal(err)
	}
	released(t, h, other, rec, opt.Signer.MinisignPublic())
}

// A file that changes after its digest was taken is not published.
func TestChanged(t *testing.T) {
	h := githubtest.Start(t)
	r, opt := publishtest.Release(t, "20261130-1200"), options(t)
	r.Files[0].SHA256 = strings.Repeat("0", 64)
	if _, err := opened(t, h).Publish(t.Context(), r, opt); cause.IDOf(err) != "image.digest-changed" || h.Public(Tag(r.Dir())) != nil {
		t.Errorf("%v", err)
	}
}

// A publish that is cancelled ends at once, and leaves a draft.
func TestCancelled(t *testing.T) {
	h := githubtest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	h.SetFault(func(w http.ResponseWriter, r *http.Request) bool {
		if diskUpload(r) {
			cancel()
		}
		return false
	})
	r, opt := publishtest.Release(t, "20261130-1200"), options(t)
	if _, err := opened(t, h).Publish(ctx, r, opt); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if h.Public(Tag(r.Dir())) != nil {
		t.Error("it is public")
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, bad := range []string{"", "owner", "owner/", "/repo", "owner/repo/x", "own er/repo", "owner/..", "-x/repo", "owner/re?po"} {
		if _, err := Open(bad, nil); cause.ClassOf(err) != cause.Input {
			t.Errorf("%q: %v", bad, err)
		}
	}
	p, err := Open("owner/repo", nil)
	if err != nil || p.ID() != "https://github.com/owner/repo" || p.Local() {
		t.Fatalf("%v, %v", p, err)
	}
	if _, err := p.Probe(t.Context()); cause.IDOf(err) != "publish.credentials" {
		t.Errorf("without a token: %v", err)
	}
	failing, err := Open("owner/repo", func(context.Context) (string, string, error) { return "", "", errors.New("locked") })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := failing.Probe(t.Context()); cause.IDOf(err) != "publish.credentials" {
		t.Errorf("a keychain that is locked: %v", err)
	}
}

func TestConform(t *testing.T) {
	publishtest.Conform(t, func(t *testing.T) publishtest.Destination {
		h := githubtest.Start(t)
		return publishtest.Destination{Publisher: opened(t, h), Reader: func(dir string) publish.Reader {
			r, err := OpenRelease("owner/images@" + Tag(dir))
			if err != nil {
				t.Fatal(err)
			}
			return r
		}}
	})
}
