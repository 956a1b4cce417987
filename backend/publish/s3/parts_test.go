package s3

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"ingot/backend/publish"
	"ingot/backend/publish/publishtest"
)

// line is a proxy to the store that counts the parts of uploads, and fails for some of
// them.
type line struct {
	parts atomic.Int64
	limit atomic.Int64  // highest number of a part that passes
	disk  atomic.Int64  // bytes of disks that were read
	now   atomic.Int64  // parts that are on their way
	most  atomic.Int64  // the most at a time
	hold  time.Duration // how long a part waits for another one at the same time
}

// lineTo serves the endpoint through a new proxy.
func lineTo(t *testing.T, e Endpoint) (*line, Endpoint) {
	t.Helper()
	l, proxy := &line{}, reverse(t, e.URL)
	l.limit.Store(1000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && r.URL.Query().Has("partNumber") {
			if n, err := strconv.ParseInt(r.URL.Query().Get("partNumber"), 10, 64); err != nil || n > l.limit.Load() {
				panic(http.ErrAbortHandler)
			}
			l.parts.Add(1)
			if n := l.now.Add(1); n > l.most.Load() {
				l.most.Store(n)
			}
			defer l.now.Add(-1)
			for end := time.Now().Add(l.hold); l.most.Load() < 2 && time.Now().Before(end); time.Sleep(time.Millisecond) {
			}
		}
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, ".qcow2") {
			w = publishtest.Counted{ResponseWriter: w, N: &l.disk}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	e.URL, e.Local = s.URL, false
	return l, e
}

// fourParts returns a release whose disk takes four parts.
func fourParts(t *testing.T) publish.Release {
	t.Helper()
	r := publishtest.Release(t, "1")
	data := make([]byte, 3*partSize+5)
	_, _ = rand.Read(data)
	if err := os.WriteFile(r.Files[0].Path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	seal(t, r)
	return r
}

// seal sets the digest of the release's disk to the current one.
func seal(t *testing.T, r publish.Release) {
	t.Helper()
	data, err := os.ReadFile(r.Files[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	r.Files[0].SHA256 = fmt.Sprintf("%x", sha256.Sum256(data))
}

// cutOff publishes through a proxy that passes the first two parts of four.
func cutOff(t *testing.T, l *line, e Endpoint, r publish.Release, opt publish.Options) {
	t.Helper()
	l.limit.Store(2)
	if _, err := Publish(t.Context(), e, r, opt); err == nil {
		t.Fatal("it passed over a line that was cut")
	}
	if n := l.parts.Swap(0); n != 2 {
		t.Fatalf("%d parts passed before the cut", n)
	}
	l.limit.Store(1000)
}

func unfinished(t *testing.T, e Endpoint) (n int) {
	t.Helper()
	c, err := newClient(e)
	if err != nil {
		t.Fatal(err)
	}
	for u := range c.s3.ListIncompleteUploads(t.Context(), e.Bucket, e.Prefix, true) {
		if u.Err != nil {
			t.Fatal(u.Err)
		}
		n++
	}
	return n
}

// notes counts the notes in a folder. What a killed writer left of one is none.
func notes(t *testing.T, dir string) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*.json*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// An interrupted upload is resumed with the parts that the service has; without a note
// it starts again. In all cases no upload is left.
func TestUploadGoesOn(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, e Endpoint, r publish.Release, dir string) // between the two publishes
		sent int64                                                         // parts of the second publish
	}{
		{"goes on", func(*testing.T, Endpoint, publish.Release, string) {}, 2},
		{"not noted", func(t *testing.T, _ Endpoint, _ publish.Release, dir string) { _ = os.RemoveAll(dir) }, 4},
		{"broken note", func(t *testing.T, _ Endpoint, _ publish.Release, dir string) {
			found, _ := filepath.Glob(filepath.Join(dir, "*"))
			if err := os.WriteFile(found[0], []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, 2},
		{"ended before it knew the id", func(t *testing.T, _ Endpoint, _ publish.Release, dir string) {
			found, _ := filepath.Glob(filepath.Join(dir, "*"))
			up, err := readNote(found[0])
			up.ID = ""
			if err = errors.Join(err, (&client{unfinished: dir}).note(up)); err != nil {
				t.Fatal(err)
			}
		}, 2},
		{"taken back by the service", func(t *testing.T, e Endpoint, _ publish.Release, _ string) {
			c, _ := newClient(e)
			for u := range c.s3.ListIncompleteUploads(t.Context(), e.Bucket, e.Prefix, true) {
				if err := (minio.Core{Client: c.s3}).AbortMultipartUpload(t.Context(), e.Bucket, u.Key, u.UploadID); err != nil {
					t.Fatal(err)
				}
			}
		}, 4},
		{"other bytes", func(t *testing.T, _ Endpoint, r publish.Release, _ string) {
			f, err := os.OpenFile(r.Files[0].Path, os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt([]byte("other"), 0)
			}
			if err = errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
			seal(t, r)
		}, 3},
		{"a part with other bytes", func(t *testing.T, e Endpoint, _ publish.Release, _ string) {
			c, _ := newClient(e)
			for u := range c.s3.ListIncompleteUploads(t.Context(), e.Bucket, e.Prefix, true) {
				_, err := (minio.Core{Client: c.s3}).PutObjectPart(t.Context(), e.Bucket, u.Key, u.UploadID, 1, io.LimitReader(rand.Reader, partSize), partSize, minio.PutObjectPartOptions{})
				if err != nil {
					t.Fatal(err)
				}
			}
		}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, e := lineTo(t, at(t))
			r, dir := fourParts(t), filepath.Join(t.TempDir(), "uploads")
			opt := publish.Options{Signer: publishtest.Signer(t), Unfinished: dir}
			cutOff(t, l, e, r, opt)
			if n := unfinished(t, at(t)); n != 1 || notes(t, dir) != 1 {
				t.Fatalf("%d uploads, %d notes after the cut", n, notes(t, dir))
			}
			c.do(t, at(t), r, dir)
			var last, most int64
			opt.Progress = func(done, total int64) { last, most = done, max(most, done-total) }
			if _, err := Publish(t.Context(), e, r, opt); err != nil {
				t.Fatal(err)
			}
			if n := l.parts.Load(); n != c.sent {
				t.Errorf("%d parts were sent, want %d", n, c.sent)
			}
			if last < 3*partSize || most > 0 {
				t.Errorf("progress ended at %d, over the whole by %d", last, most)
			}
			if n := unfinished(t, at(t)); n != 0 || notes(t, dir) != 0 {
				t.Errorf("%d uploads and %d notes are left", n, notes(t, dir))
			}
		})
	}
}

// Without a folder for notes, a failed upload is aborted.
func TestUploadTakenBack(t *testing.T) {
	l, e := lineTo(t, at(t))
	cutOff(t, l, e, fourParts(t), publish.Options{Signer: publishtest.Signer(t)})
	if n := unfinished(t, at(t)); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

// An upload that was not resumed is aborted after a week.
func TestUploadAbandoned(t *testing.T) {
	l, e := lineTo(t, at(t))
	r, dir := fourParts(t), filepath.Join(t.TempDir(), "uploads")
	cutOff(t, l, e, r, publish.Options{Signer: publishtest.Signer(t), Unfinished: dir})
	c, err := newClient(e)
	if err != nil {
		t.Fatal(err)
	}
	c.unfinished = dir
	c.abandon(context.Background())
	if unfinished(t, at(t)) != 1 || notes(t, dir) != 1 {
		t.Fatal("a young upload was taken back")
	}
	found, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	up, err := readNote(found[0])
	if err != nil {
		t.Fatal(err)
	}
	up.Begun = time.Now().Add(-forgetAfter - time.Hour)
	if err := c.note(up); err != nil {
		t.Fatal(err)
	}
	c.abandon(context.Background())
	if n := unfinished(t, at(t)); n != 0 || notes(t, dir) != 0 {
		t.Errorf("%d uploads, %d notes after a week", n, notes(t, dir))
	}
}

// A publish sends a disk once, several parts at a time, and reads it back once.
func TestBytesOfAPublish(t *testing.T) {
	l, e := lineTo(t, at(t))
	l.hold = 20 * time.Second
	r := fourParts(t)
	if _, err := Publish(t.Context(), e, r, publish.Options{Signer: publishtest.Signer(t)}); err != nil {
		t.Fatal(err)
	}
	if n := l.parts.Load(); n != 4 || l.most.Load() < 2 {
		t.Errorf("%d parts were sent, at most %d at a time", n, l.most.Load())
	}
	if n := l.disk.Load(); n != 3*partSize+5 {
		t.Errorf("%d bytes of the disk were read back, it has %d", n, 3*partSize+5)
	}
}
