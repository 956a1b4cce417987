// Package fetch downloads inputs that a lock pins.
//
// An input is named by its SHA-256; where it comes from is of no account. The
// cache is a folder of files named by digest, so an input is downloaded once
// for all targets, and a file whose bytes do not fit its name is never used.
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

// Input is one file to have. Size is in bytes; URLs are tried in order.
type Input struct {
	Name   string
	SHA256 string
	Size   int64
	URLs   []string
}

// GoneError says that every mirror answered and none has the file any more.
type GoneError struct{ Name string }

func (e *GoneError) Error() string {
	return fmt.Sprintf("%s is no longer on any mirror", e.Name)
}

// DigestError says that a download has other bytes than the lock pins.
type DigestError struct{ Name, Want, Got string }

func (e *DigestError) Error() string {
	return fmt.Sprintf("%s has SHA-256 %s, the lock says %s: the download was thrown away", e.Name, e.Got, e.Want)
}

// UnreachableError says that no mirror could be asked.
type UnreachableError struct {
	Name string
	Err  error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s cannot be downloaded: %v", e.Name, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Cache is the folder of verified inputs. Its methods may be called from
// several goroutines and processes.
type Cache struct {
	Dir    string
	Client *http.Client // nil: a client that honours HTTP(S)_PROXY
}

// parallel is the number of downloads at once; more does not help one mirror.
const parallel = 6

// retryDelay grows with each try; a mirror that is restarting needs seconds.
var retryDelay = time.Second

// attempts per mirror for causes that can pass (a reset connection, a 5xx).
const attempts = 3

// All makes sure that every input is in the cache and returns their paths in
// the order given. progress, if not nil, is called with bytes done and total,
// from several goroutines.
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

// Has tells whether a file of that digest's name is in the cache; Get looks at
// its bytes.
func (c Cache) Has(sha256 string) bool {
	_, err := os.Stat(filepath.Join(c.Dir, sha256))
	return err == nil
}

// Get returns the path of one input, downloading it if need be. The bytes are
// verified at every call.
func (c Cache) Get(ctx context.Context, in Input) (string, error) {
	if len(in.SHA256) != 64 || strings.Trim(in.SHA256, "0123456789abcdef") != "" {
		return "", fmt.Errorf("input %s: %q is no SHA-256", in.Name, in.SHA256)
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
			err := c.once(ctx, in, url, path)
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

// stallLimit is how long a mirror may send nothing. Without it one that takes
// the connection and never answers holds a build for ever.
var stallLimit = time.Minute

var errStalled = errors.New("the mirror sends nothing any more")

// awake puts the end off with every byte that comes.
type awake struct {
	body io.Reader
	end  *time.Timer
}

func (a awake) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	a.end.Reset(stallLimit)
	return n, err
}

func (c Cache) once(ctx context.Context, in Input, url, path string) (err error) {
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
	return keep(in, awake{resp.Body, end}, path)
}

// keep writes the body and puts it in place if it is what was locked.
func keep(in Input, body io.Reader, path string) error {
	return home.CreateAtomic(path, 0o644, func(f *os.File) error {
		sum := sha256.New()
		// one byte over the size is enough to know that it is another file
		if _, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(body, in.Size+1)); err != nil {
			return err
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != in.SHA256 {
			return &DigestError{in.Name, in.SHA256, got}
		}
		return nil
	})
}

// Digest is the SHA-256 of a file, in lower-case hex. Holes are not read, which
// would take longer than to compute: they count as the zeros that they read as.
func Digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if err := copySparse(sum, f); err != nil {
		return "", fmt.Errorf("digest of %s: %w", path, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// copySparse writes all that reading the file gives.
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
				return nil // it was cut meanwhile
			}
		}
		if err := writeZeros(w, info.Size()-done); err != nil {
			return err
		}
		if _, err := f.Seek(info.Size(), io.SeekStart); err != nil {
			return err
		}
	}
	_, err = io.Copy(w, f) // what was added meanwhile, and what is no regular file
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
