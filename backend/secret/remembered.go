package secret

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"ingot/backend/limit"
)

// remembered is a store that this process asks only once for each of the home's own
// secrets: for each answer of macOS's keychain a program is started, and the app opens its
// home at every click. A process that changes a secret changes a file beside it, so that
// other processes ask again.
type remembered struct {
	Store
	dir, id string // folder of that file; which store this is
}

// stampFile changes with the secrets. It holds no secret.
const stampFile = "changed"

type answer struct {
	stamp string
	value []byte
	err   error // nil, or ErrNotFound
}

var answers struct {
	mu sync.Mutex
	by map[[2]string]answer // by store and name
}

func (r remembered) stamp() (string, error) {
	b, err := limit.ReadFile(filepath.Join(r.dir, stampFile), limit.Settings)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(b), err
}

// changed makes every process ask again.
func (r remembered) changed() error {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, stampFile), []byte(rand.Text()), 0o600); err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	return nil
}

// Get asks the store, or returns its earlier answer if nothing was changed since.
func (r remembered) Get(name string) ([]byte, error) {
	if !own(name) {
		return r.Store.Get(name)
	}
	stamp, err := r.stamp() // before the value: a change in between is noticed next time
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	key := [2]string{r.id, name}
	answers.mu.Lock()
	a, have := answers.by[key]
	answers.mu.Unlock()
	if have && a.stamp == stamp {
		return a.value, a.err
	}
	a = answer{stamp: stamp}
	if a.value, a.err = r.Store.Get(name); a.err != nil && !errors.Is(a.err, ErrNotFound) {
		return nil, a.err
	}
	answers.mu.Lock()
	defer answers.mu.Unlock()
	if answers.by == nil {
		answers.by = map[[2]string]answer{}
	}
	answers.by[key] = a
	return a.value, a.err
}

// Put writes a secret.
func (r remembered) Put(name string, value []byte) error {
	return errors.Join(r.Store.Put(name, value), r.changed())
}

// Create writes a secret if there is none.
func (r remembered) Create(name string, value []byte) ([]byte, error) {
	got, err := r.Store.Create(name, value)
	return got, errors.Join(err, r.changed())
}

// Forget removes the store's secrets.
func (r remembered) Forget() error { return errors.Join(r.Store.Forget(), r.changed()) }
