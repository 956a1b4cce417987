// Package outputs stores the output folders of finished steps.
//
// A step fills a temporary folder; after it succeeded, the files are synced, done.json
// is written beside them with their digests, and the folder is renamed to <step>-<first
// 16 digits of the key>. A folder without done.json is incomplete. Each time the folder
// is used, the files are compared with done.json, but done.json is not evidence: the
// caller compares it with a signed document.
package outputs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"ingot/backend/evidence"
	"ingot/backend/limit"
)

// Output is the finished folder of a step. Values are read-only after Load and Make,
// and safe for concurrent use.
type Output struct {
	Dir   string            `json:"-"`
	Key   string            `json:"key"`
	Build string            `json:"build"` // the build that made it
	Files map[string]string `json:"files"` // name → SHA-256
	Meta  json.RawMessage   `json:"meta"`  // what the function that filled it returned
}

const doneFile = "done.json"

// Store is a folder of output folders. It is safe for concurrent use.
type Store struct {
	Dir     string
	Digests *evidence.Digests // caches the digests of unchanged files
}

// Path returns the folder of a step's output, which need not exist.
func (s Store) Path(step, key string) string {
	return filepath.Join(s.Dir, step+"-"+key[:16])
}

// Load returns a finished output whose files still have the digests of their creation;
// false if there is none, or if a file was changed.
func (s Store) Load(step, key string) (Output, bool) {
	dir := s.Path(step, key)
	b, err := limit.ReadFile(filepath.Join(dir, doneFile), limit.Journal)
	if err != nil {
		return Output{}, false
	}
	out := Output{Dir: dir}
	if json.Unmarshal(b, &out) != nil || out.Key != key {
		return Output{}, false
	}
	for name, want := range out.Files {
		if got, err := s.Digests.Of(filepath.Join(dir, name)); err != nil || got != want {
			return Output{}, false
		}
	}
	return out, true
}

// Making tracks outputs that are under construction, so that concurrent builds in one
// process do not build the same output twice. Its zero value is ready; nil disables the
// tracking. It is safe for concurrent use.
type Making struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

// Enter waits until no other build of this process makes the output at path, or until
// ctx is done. The caller must call leave, which admits the next build.
func (m *Making) Enter(ctx context.Context, path string) (leave func(), err error) {
	if m == nil {
		return func() {}, nil
	}
	for {
		m.mu.Lock()
		wait, busy := m.busy[path]
		if !busy {
			if m.busy == nil {
				m.busy = map[string]chan struct{}{}
			}
			done := make(chan struct{})
			m.busy[path] = done
			m.mu.Unlock()
			return func() {
				m.mu.Lock()
				delete(m.busy, path)
				m.mu.Unlock()
				close(done)
			}, nil
		}
		m.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-wait:
		}
	}
}

// Make calls fill with a temporary folder and, if it succeeds, renames the folder to
// its path: the files are synced first, done.json is written last, then the folder is
// renamed.
func (s Store) Make(step, key, build string, fill func(dir string) (any, error)) (out Output, err error) {
	tmp, err := Partial(s.Dir, "making-"+step)
	if err != nil {
		return Output{}, fmt.Errorf("outputs: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	meta, err := fill(tmp)
	if err != nil {
		return Output{}, err
	}
	out = Output{Dir: s.Path(step, key), Key: key, Build: build, Files: map[string]string{}}
	if out.Meta, err = json.Marshal(meta); err != nil {
		return Output{}, err
	}
	if err := out.seal(tmp, s.Digests); err != nil {
		return Output{}, err
	}
	if err := os.RemoveAll(out.Dir); err != nil {
		return Output{}, fmt.Errorf("outputs: %w", err)
	}
	if err := os.Rename(tmp, out.Dir); err != nil {
		return Output{}, fmt.Errorf("outputs: %w", err)
	}
	s.Digests.Moved(tmp, out.Dir)
	return out, syncDir(s.Dir)
}

// seal records every file's digest and writes done.json.
func (out *Output) seal(dir string, digests *evidence.Digests) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("outputs: %w", err)
	}
	for _, e := range entries {
		p := filepath.Join(dir, e.Name())
		if err := syncFile(p); err != nil {
			return err
		}
		if out.Files[e.Name()], err = digests.Of(p); err != nil {
			return err
		}
	}
	b, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		return err
	}
	p := filepath.Join(dir, doneFile)
	if err := os.WriteFile(p, b, 0o644); err != nil {
		return fmt.Errorf("outputs: %w", err)
	}
	return errors.Join(syncFile(p), syncDir(dir))
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("outputs: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}

func syncDir(path string) error { return syncFile(path) }

// Holds reports whether one of the files has the digest. done.json is not trusted
// without signed evidence of the same digest.
func (out Output) Holds(sha256 string) bool {
	for _, sum := range out.Files {
		if sum == sha256 {
			return true
		}
	}
	return false
}

// File returns the path of a file in the folder.
func (out Output) File(name string) string { return filepath.Join(out.Dir, name) }

// Decode decodes what the function that filled the folder returned.
func (out Output) Decode(v any) error {
	if err := json.Unmarshal(out.Meta, v); err != nil {
		return fmt.Errorf("%s: %w", out.File(doneFile), err)
	}
	return nil
}
