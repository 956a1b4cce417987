// Package fetch downloads the inputs that a lock pins.
//
// An input is identified by its SHA-256, independent of where it was downloaded
// from. The cache is a folder of files named by digest, so an input is
// downloaded once for all targets. A file whose content does not match its name
// is never used.
package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ingot/backend/home"
)

// Input is one file to download. Size is in bytes; URLs are tried in order.
type Input struct {
	Name   string
	SHA256 string
	Size   int64
	URLs   []string
}

// GoneError reports that every mirror answered and none has the file.
type GoneError struct{ Name string }

func (e *GoneError) Error() string {
	return fmt.Sprintf("%s is no longer on any mirror", e.Name)
}

// CauseID names the cause.
func (*GoneError) CauseID() string { return "fetch.gone" }

// DigestError reports that a downloaded file does not have the digest in the
// lock.
type DigestError struct{ Name, Want, Got string }

func (e *DigestError) Error() string {
	return fmt.Sprintf("%s has SHA-256 %s, the lock has %s: the download was discarded", e.Name, e.Got, e.Want)
}

// CauseID names the cause.
func (*DigestError) CauseID() string { return "fetch.digest" }

// UnreachableError reports that no mirror could be reached.
type UnreachableError struct {
	Name string
	Err  error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s cannot be downloaded: %v", e.Name, e.Err)
}

// CauseID names the cause.
func (*UnreachableError) CauseID() string { return "fetch.unreachable" }

func (e *UnreachableError) Unwrap() error { return e.Err }

// Cache is the folder of verified inputs. Its methods are safe for concurrent
// use, also by several processes.
type Cache struct {
	Dir    string
	Client *http.Client // nil: a client that honours HTTP(S)_PROXY
	// Silent is called when a mirror has sent nothing for eight seconds, long before
	// the download is aborted. Several goroutines may call it. It may be nil.
	Silent func(host string)
}

// parallel is the number of concurrent downloads; more is no faster from a
// single mirror.
const parallel = 6

// retryDelay is the delay before the first retry; it grows with each one, to
// give a restarting mirror some seconds.
var retryDelay = time.Second

// attempts is the number of tries per mirror for temporary failures (a reset
// connection, a 5xx).
const attempts = 3

// All downloads the inputs that are not in the cache and returns the paths of
// all, in the order given. progress, if not nil, is called from several
// goroutines with the number of bytes done and in total.
func (c Cache) All(ctx context.Context, inputs []Input, progress func(done, total int64)) ([]string, error) {
	var total, done atomic.Int64
	for _, in := range inputs {
		total.Add(in.Size)
	}
	paths := make([]string, len(inputs))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, in := range inputs {
		g.Go(func() error {
			p, err := c.Get(ctx, in)
			if err != nil {
				return err
			}
			paths[i] = p
			if n := done.Add(in.Size); progress != nil {
				progress(n, total.Load())
			}
			return nil
		})
	}
	return paths, g.Wait()
}

// Has reports whether the cache has a file named by the digest. Get verifies
// its content.
func (c Cache) Has(sha256 string) bool {
	_, err := os.Stat(filepath.Join(c.Dir, sha256))
	return err == nil
}

// Get returns the path of one input, and downloads it if necessary. It verifies
// the content on every call.
func (c Cache) Get(ctx context.Context, in Input) (string, error) {
	if len(in.SHA256) != 64 || strings.Trim(in.SHA256, "0123456789abcdef") != "" {
		return "", fmt.Errorf("input %s: %q is not a SHA-256 digest", in.Name, in.SHA256)
	}
	path := filepath.Join(c.Dir, in.SHA256)
	if got, err := Digest(path); err == nil && got == in.SHA256 {
		return path, nil
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return "", fmt.Errorf("input cache: %w", err)
	}
	return path, c.download(ctx, in, path)
}

func (c Cache) download(ctx context.Context, in Input, path string) error {
	gone := true
	var last error
	for _, url := range in.URLs {
		for try := range attempts {
			err := c.downloadFrom(ctx, in, url, path)
			var dig *DigestError
			switch {
			case err == nil:
				return nil
			case errors.As(err, &dig) || ctx.Err() != nil:
				return err
			}
			last = err
			if errors.Is(err, errNotFound) {
				break
			}
			gone = false
			if try == attempts-1 {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(try+1) * retryDelay):
			}
		}
	}
	if gone && len(in.URLs) > 0 {
		return &GoneError{in.Name}
	}
	return &UnreachableError{in.Name, last}
}

var errNotFound = errors.New("not found (404)")

// stallLimit is the time after which a download that receives no data is
// aborted. Otherwise a mirror that accepts the connection and sends nothing
// would block a build indefinitely.
var stallLimit = time.Minute

// silentAfter is the time without data after which Silent is called.
var silentAfter = 8 * time.Second

var errStalled = errors.New("the mirror has stopped sending")

// stallReader resets the timers with every byte that is read.
type stallReader struct {
	body        io.Reader
	end, notice *time.Timer
}

func (a stallReader) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	a.end.Reset(stallLimit)
	a.notice.Reset(silentAfter)
	return n, err
}

// downloadFrom downloads the input from one URL, in one attempt.
func (c Cache) downloadFrom(ctx context.Context, in Input, url, path string) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	end := time.AfterFunc(stallLimit, func() { cancel(errStalled) })
	defer end.Stop()
	defer func() {
		if err != nil && context.Cause(ctx) == errStalled {
			err = errStalled
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	notice := time.AfterFunc(silentAfter, func() {
		if c.Silent != nil {
			c.Silent(req.URL.Host)
		}
	})
	defer notice.Stop()
	client := c.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone {
		return errNotFound
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the mirror answered %s", resp.Status)
	}
	return store(in, stallReader{resp.Body, end, notice}, path)
}

// store writes the body to a temporary file and renames it to path if its
// digest matches the lock.
func store(in Input, body io.Reader, path string) error {
	return home.CreateAtomic(path, 0o644, func(f *os.File) error {
		sum := sha256.New()
		// one byte more than the size is enough to detect a wrong file
		if _, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(body, in.Size+1)); err != nil {
			return err
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != in.SHA256 {
			return &DigestError{in.Name, in.SHA256, got}
		}
		return nil
	})
}

// Digest returns the SHA-256 of a file in lower-case hex. Holes are not read
// but hashed as zeros, which is faster.
func Digest(path string) (string, error) { return DigestOf(context.Background(), path, nil) }

// DigestOf is Digest that ends within a block when ctx does, with its cause. progress,
// which may be nil, gets the bytes that were hashed and the size of the file, in the
// caller's goroutine.
func DigestOf(ctx context.Context, path string, progress func(done, total int64)) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	sum, done := sha256.New(), int64(0)
	w := writerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if done += int64(len(p)); progress != nil {
			progress(done, info.Size())
		}
		return sum.Write(p)
	})
	if err := copySparse(w, f); err != nil {
		return "", fmt.Errorf("digest of %s: %w", path, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// copySparse writes the file's content to w, with zeros for holes.
func copySparse(w io.Writer, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	done := int64(0)
	if info.Mode().IsRegular() {
		for e := range home.Extents(f, 0, info.Size()) {
			if err := writeZeros(w, e.Offset-done); err != nil {
				return err
			}
			n, err := io.Copy(w, io.NewSectionReader(f, e.Offset, e.Length))
			if err != nil {
				return err
			}
			if done = e.Offset + n; n < e.Length {
				return nil // the file was truncated meanwhile
			}
		}
		if err := writeZeros(w, info.Size()-done); err != nil {
			return err
		}
		if _, err := f.Seek(info.Size(), io.SeekStart); err != nil {
			return err
		}
	}
	_, err = io.Copy(w, f) // data appended meanwhile, or not a regular file
	return err
}

var zeros [64 << 10]byte

func writeZeros(w io.Writer, n int64) error {
	for n > 0 {
		part := zeros[:min(n, int64(len(zeros)))]
		if _, err := w.Write(part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}
