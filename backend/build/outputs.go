package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"ingot/backend/evidence"
)

// output is a step's finished folder: <data>/outputs/<step>-<key>/. Its
// done.json is written last; a folder without one is a leftover.
type output struct {
	Dir   string            `json:"-"`
	Key   string            `json:"key"`
	Build string            `json:"build"` // the build that made it
	Files map[string]string `json:"files"` // name → SHA-256
	Meta  json.RawMessage   `json:"meta"`  // what the step's maker returned
}

const doneFile = "done.json"

// outputs is the store of finished folders.
type outputs struct {
	dir     string
	digests *evidence.Digests
}

func (o outputs) path(step, key string) string {
	return filepath.Join(o.dir, step+"-"+key[:16])
}

// load returns a finished output whose files have the digests they were made
// with; false when there is none, or when a file was changed.
func (o outputs) load(step, key string) (output, bool) {
	dir := o.path(step, key)
	b, err := os.ReadFile(filepath.Join(dir, doneFile))
	if err != nil {
		return output{}, false
	}
	out := output{Dir: dir}
	if json.Unmarshal(b, &out) != nil || out.Key != key {
		return output{}, false
	}
	for name, want := range out.Files {
		if got, err := o.digests.Of(filepath.Join(dir, name)); err != nil || got != want {
			return output{}, false
		}
	}
	return out, true
}

// Making knows which outputs this process is making, so that builds of several
// targets do not make the same one side by side. Its zero value is ready.
type Making struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

// enter waits until nobody makes the output at path; leave lets the next in.
func (m *Making) enter(ctx context.Context, path string) (leave func(), err error) {
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

// make runs fill in a temporary folder and puts it in place when it succeeds:
// files are synced first, done.json last, then one rename.
func (o outputs) make(step, key, build string, fill func(dir string) (any, error)) (out output, err error) {
	tmp, err := halfMade(o.dir, "making-"+step)
	if err != nil {
		return output{}, fmt.Errorf("outputs: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	meta, err := fill(tmp)
	if err != nil {
		return output{}, err
	}
	out = output{Dir: o.path(step, key), Key: key, Build: build, Files: map[string]string{}}
	if out.Meta, err = json.Marshal(meta); err != nil {
		return output{}, err
	}
	if err := out.seal(tmp, o.digests); err != nil {
		return output{}, err
	}
	if err := os.RemoveAll(out.Dir); err != nil {
		return output{}, fmt.Errorf("outputs: %w", err)
	}
	if err := os.Rename(tmp, out.Dir); err != nil {
		return output{}, fmt.Errorf("outputs: %w", err)
	}
	o.digests.Moved(tmp, out.Dir)
	return out, syncDir(o.dir)
}

// seal records every file's digest and writes done.json.
func (out *output) seal(dir string, digests *evidence.Digests) error {
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

// holds tells whether one of the files has the digest: the record beside the
// files is believed only where signed evidence says the same.
func (out output) holds(sha256 string) bool {
	for _, sum := range out.Files {
		if sum == sha256 {
			return true
		}
	}
	return false
}

func (out output) file(name string) string { return filepath.Join(out.Dir, name) }

// meta reads what the maker returned.
func (out output) meta(v any) error {
	if err := json.Unmarshal(out.Meta, v); err != nil {
		return fmt.Errorf("%s: %w", out.file(doneFile), err)
	}
	return nil
}
