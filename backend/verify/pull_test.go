package verify

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"ingot/backend"
	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/hometest"
	"ingot/backend/publish/publishtest"
	"ingot/backend/secret"
)

// counting serves a release and counts the bytes of files below it that are sent.
func counting(t *testing.T, dir string) (address string, sent *atomic.Int64) {
	t.Helper()
	sent = new(atomic.Int64)
	files := http.FileServer(http.Dir(strings.TrimSuffix(dir, releasePath)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".qcow2") {
			w = publishtest.Counted{ResponseWriter: w, N: sent}
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/" + releasePath + "/", sent
}

// A pull fetches the disk that is proven, once; it goes on with what is there, if that
// is of the disk; and nothing but the disk gets its name.
func TestPull(t *testing.T) {
	b := hometest.Open(t)
	const text = "the bytes of a disk"
	dir := folderOf(t, b.Signer, map[string]string{"d.qcow2": text, "d.raw": "raw bytes"}, proofOf(t, b.Signer, "d.qcow2", text))
	address, sent := counting(t, dir)
	for _, c := range []struct {
		name, part, file string // what is there before
		sent, kept       int64
		fault            string
	}{
		{"nothing there", "", "", int64(len(text)), 0, ""},
		{"the beginning", text[:7], "", int64(len(text)) - 7, 7, ""},
		{"all but a byte", text[:len(text)-1], "", 1, int64(len(text)) - 1, ""},
		{"all of it", text, "", 0, int64(len(text)), ""},
		{"more than it", text + "more", "", 0, int64(len(text)), ""},
		{"of another disk", "another", "", 2*int64(len(text)) - 7, 0, ""},
		{"the disk itself", "", text, 0, int64(len(text)), ""},
		{"another file", "", "other bytes", 0, 0, "exists with other bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := t.TempDir()
			for name, text := range map[string]string{"d.qcow2.part": c.part, "d.qcow2": c.file} {
				if text == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(to, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			sent.Store(0)
			p, err := Pull(t.Context(), b, PullOptions{Subject: address, To: to})
			if c.fault != "" {
				got, rerr := os.ReadFile(filepath.Join(to, "d.qcow2"))
				if err == nil || !strings.Contains(err.Error(), c.fault) || rerr != nil || string(got) != c.file {
					t.Errorf("%v, want %q; the file is %q, %v", err, c.fault, got, rerr)
				}
				return
			}
			got, rerr := os.ReadFile(p.File)
			if err := errors.Join(err, rerr); err != nil || string(got) != text || p.File != filepath.Join(to, "d.qcow2") || p.Bytes != int64(len(text)) || p.Kept != c.kept || len(p.Proofs) != 1 {
				t.Errorf("%q, %+v, %v", got, p, err)
			}
			if n := sent.Load(); n != c.sent {
				t.Errorf("%d bytes were sent, want %d", n, c.sent)
			}
			if left, _ := filepath.Glob(filepath.Join(to, "*.part")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
	if p, err := Pull(t.Context(), b, PullOptions{Subject: dir}); err != nil || p.File != filepath.Join(b.Home.Pulled(), hometest.DigestOf(text), "d.qcow2") {
		t.Errorf("a folder, into the cache: %+v, %v", p, err)
	}
}

// What is not the disk of the signed list gets no name.
func TestPullRefuses(t *testing.T) {
	b := hometest.Open(t)
	stranger, err := secret.LoadOrCreateSigner(secret.Files{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	release := func(s *secret.Signer, verdict evidence.Verdict) string {
		return folderOf(t, s, map[string]string{"d.qcow2": "disk"}, judgedProof(t, s, "d.qcow2", "disk", verdict))
	}
	changed := release(b.Signer, evidence.Passed)
	if err := os.WriteFile(filepath.Join(changed, "d.qcow2"), []byte("dusk"), 0o600); err != nil {
		t.Fatal(err)
	}
	failed := release(b.Signer, evidence.Failed)
	for name, c := range map[string]struct{ dir, cause string }{
		"a byte changed":       {changed, "image.digest-changed"},
		"a stranger's release": {release(stranger, evidence.Passed), "evidence.foreign-key"},
		"no proof":             {failed, "publish.unproven"},
		"no release":           {t.TempDir(), "publish.unreachable"},
	} {
		address, _ := counting(t, c.dir)
		for _, subject := range []string{c.dir, address} {
			to := t.TempDir()
			if _, err := Pull(t.Context(), b, PullOptions{Subject: subject, To: to}); cause.IDOf(err) != c.cause {
				t.Errorf("%s: %v, want %s", name, err, c.cause)
			}
			if found, _ := filepath.Glob(filepath.Join(to, "*.qcow2")); len(found) > 0 {
				t.Errorf("%s: there is %v", name, found)
			}
		}
	}
	if p, err := Pull(t.Context(), b, PullOptions{Subject: failed, To: t.TempDir(), Unproven: true}); err != nil || p.Bytes != 4 {
		t.Errorf("no proof, and none wanted: %+v, %v", p, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	odd := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(odd, "d.qcow2.part"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Pull(t.Context(), b, PullOptions{Subject: release(b.Signer, evidence.Passed), To: odd}); err == nil || !strings.Contains(err.Error(), "a named pipe") {
		t.Errorf("a named pipe in its way: %v", err)
	}
	busy := t.TempDir()
	held, err := lockPart(filepath.Join(busy, "d.qcow2.part"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Pull(t.Context(), b, PullOptions{Subject: release(b.Signer, evidence.Passed), To: busy}); err == nil || !strings.Contains(err.Error(), "another process is fetching it") {
		t.Errorf("two at a time: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Pull(t.Context(), b, PullOptions{Subject: release(b.Signer, evidence.Passed), To: busy}); err != nil {
		t.Errorf("after the other one: %v", err)
	}
	var nothing *backend.NothingToDoError
	if _, err := Pull(t.Context(), b, PullOptions{Subject: file, To: t.TempDir()}); !errors.As(err, &nothing) {
		t.Errorf("a file: %v", err)
	}
	part := t.TempDir()
	if err := os.WriteFile(filepath.Join(part, "d.qcow2.part"), []byte("di"), 0o600); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	defer end()
	if _, err := Pull(ended, b, PullOptions{Subject: release(b.Signer, evidence.Passed), To: part, Notify: func(string) { end() }}); !errors.Is(err, context.Canceled) {
		t.Errorf("Ctrl-C after the kept bytes: %v", err)
	}
	if kept, err := os.ReadFile(filepath.Join(part, "d.qcow2.part")); err != nil || string(kept) != "di" {
		t.Errorf("after Ctrl-C there is %q, %v", kept, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	good := release(b.Signer, evidence.Passed)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".qcow2") {
			cancel()
			<-r.Context().Done()
			return
		}
		http.FileServer(http.Dir(strings.TrimSuffix(good, releasePath))).ServeHTTP(w, r)
	}))
	defer srv.Close()
	if _, err := Pull(ctx, b, PullOptions{Subject: srv.URL + "/" + releasePath + "/", To: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("Ctrl-C: %v", err)
	}
}
