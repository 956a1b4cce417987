package status

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/build"
	"ingot/backend/home"
	"ingot/backend/limit"
	"ingot/backend/reality"
)

// derived caches the digests and keys that follow from a target's recipe, lock
// and kernel fragments, keyed by the digest of their texts, in a file of the
// cache folder. Reading the two hundred packages of a lock takes longer than
// everything else that a row needs. The cache has no status. Its methods are
// safe for concurrent use.
type derived struct {
	file string

	mu    sync.Mutex
	known map[string]reality.Inputs
	dirty bool
}

// derivedLimit is the number of entries kept. A home has a few targets, and
// each change of one adds an entry.
const derivedLimit = 1000

func openDerived(h home.Home) *derived {
	d := &derived{file: filepath.Join(h.Cache, "derived.json")}
	if data, err := limit.ReadFile(d.file, limit.Journal); err != nil || json.Unmarshal(data, &d.known) != nil || d.known == nil {
		d.known = map[string]reality.Inputs{} // it is computed again
	}
	return d
}

// of returns the cached value for the key, or computes it. An error from
// compute is not cached.
func (d *derived) of(key string, compute func() reality.Inputs) reality.Inputs {
	d.mu.Lock()
	in, ok := d.known[key]
	d.mu.Unlock()
	if ok {
		return in
	}
	if in = compute(); in.ErrCause != "" {
		return in
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= derivedLimit {
		clear(d.known)
	}
	d.known[key], d.dirty = in, true
	return in
}

// save writes the file if it has changed. If that fails, the values are
// computed again next time.
func (d *derived) save() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.dirty {
		return
	}
	if data, err := json.Marshal(d.known); err == nil {
		_ = home.WriteFileAtomic(d.file, data, 0o600)
	}
}

// derivedKey returns the digest of everything that a target's inputs depend on:
// recipe, lock, fragments, and this program, whose code and scripts are part of
// the keys.
func derivedKey(b *backend.Backend, name string) (string, error) {
	r, err := b.Targets.Get(name)
	if err != nil {
		return "", err
	}
	lock, err := b.Targets.LockText(r)
	if err != nil {
		return "", err
	}
	frags, err := build.Fragments(b.Targets, r)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, part := range []any{program(), r.Digest(), lock, frags} {
		if err := enc.Encode(part); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// program identifies this program's file: another version has another size or
// modification time.
var program = sync.OnceValue(func() string {
	self, err := os.Executable()
	if err != nil {
		return api.Version
	}
	info, err := os.Stat(self)
	if err != nil {
		return api.Version
	}
	return fmt.Sprintf("%s %s %d %d", api.Version, self, info.Size(), info.ModTime().UnixNano())
})
