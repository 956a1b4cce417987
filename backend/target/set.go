package target

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
)

// Set is all recipes that this installation knows, resolved. A file that does
// not parse is kept as a problem, so that the others still work.
type Set struct {
	shipped  fs.FS  // resources.FS
	userDir  string // <config>/targets
	recipes  map[string]Recipe
	problems map[string]error
	locks    sync.Map // file and digest of its bytes → readLock
}

// Load reads the shipped recipes and the user's, which win by name.
func Load(shipped fs.FS, userDir string) (*Set, error) {
	s := &Set{shipped: shipped, userDir: userDir, recipes: map[string]Recipe{}, problems: map[string]error{}}
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		r, err := s.resolve(name, nil)
		if err != nil {
			s.problems[name] = err
			continue
		}
		s.recipes[name] = r
	}
	return s, nil
}

func (s *Set) names() ([]string, error) {
	seen := map[string]bool{}
	add := func(entries []fs.DirEntry) {
		for _, e := range entries {
			if n, ok := strings.CutSuffix(e.Name(), ".yaml"); ok && !strings.HasSuffix(n, ".lock") {
				seen[n] = true
			}
		}
	}
	entries, err := fs.ReadDir(s.shipped, "targets")
	if err != nil {
		return nil, fmt.Errorf("shipped targets: %w", err)
	}
	add(entries)
	if s.userDir != "" {
		entries, err = os.ReadDir(s.userDir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("targets folder: %w", err)
		}
		add(entries)
	}
	names := make([]string, 0, len(seen))
	for n := range seen {
		names = append(names, n)
	}
	sort.Strings(names)
	return names, nil
}

// read returns the user's file if there is one, else the shipped one.
func (s *Set) read(rel string) (string, []byte, error) {
	if s.userDir != "" {
		p := filepath.Join(s.userDir, filepath.FromSlash(strings.TrimPrefix(rel, "targets/")))
		if b, err := os.ReadFile(p); err == nil {
			return p, b, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return p, nil, fmt.Errorf("read %s: %w", p, err)
		}
	}
	b, err := fs.ReadFile(s.shipped, rel)
	return "resources/" + rel, b, err
}

func (s *Set) resolve(name string, chain []string) (Recipe, error) {
	file, data, err := s.read("targets/" + name + ".yaml")
	if err != nil {
		return Recipe{}, fmt.Errorf("read target %s: %w", name, err)
	}
	var head Recipe
	if err := decodeStrict(file, data, &head); err != nil {
		return Recipe{}, err
	}
	r := Recipe{}
	if head.Extends != "" {
		if r, err = s.base(file, data, head, name, chain); err != nil {
			return Recipe{}, err
		}
		if err := decodeStrict(file, data, &r); err != nil {
			return Recipe{}, err
		}
	} else {
		r = head
	}
	r.origin = file
	if r.Name != name {
		return Recipe{}, positioned(file, data, "$.name", "name", fmt.Sprintf("%q does not fit the file name; accepted: %q", r.Name, name))
	}
	if ps := r.validate(); len(ps) > 0 {
		return Recipe{}, positioned(file, data, ps[0].path, ps[0].key, ps[0].msg)
	}
	return r, nil
}

// base resolves what a recipe extends. A user's file that overrides a shipped
// one of the same name may extend the shipped one.
func (s *Set) base(file string, data []byte, head Recipe, name string, chain []string) (Recipe, error) {
	from := s
	if head.Extends == name && !strings.HasPrefix(file, "resources/") {
		from = &Set{shipped: s.shipped}
		chain = nil
	} else {
		if chain = append(chain, name); slices.Contains(chain, head.Extends) {
			return Recipe{}, positioned(file, data, "$.extends", "extends", "the target extends itself: "+strings.Join(append(chain, head.Extends), " → "))
		}
	}
	r, err := from.resolve(head.Extends, chain)
	if errors.Is(err, fs.ErrNotExist) {
		known, _ := s.names()
		return Recipe{}, positioned(file, data, "$.extends", "extends", fmt.Sprintf("there is no target %q; accepted: %s", head.Extends, strings.Join(known, ", ")))
	}
	return r, err
}

// UnknownError says that no target has this name.
type UnknownError struct {
	Name  string
	Known []string
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("there is no target %q; known: %s", e.Name, strings.Join(e.Known, ", "))
}

// Get returns a resolved recipe, the recipe's own problem, or *UnknownError.
func (s *Set) Get(name string) (Recipe, error) {
	if r, ok := s.recipes[name]; ok {
		return r, nil
	}
	if err, ok := s.problems[name]; ok {
		return Recipe{}, err
	}
	return Recipe{}, &UnknownError{name, s.Names()}
}

// Names lists all targets, broken ones too, in order.
func (s *Set) Names() []string {
	names := make([]string, 0, len(s.recipes)+len(s.problems))
	for n := range s.recipes {
		names = append(names, n)
	}
	for n := range s.problems {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Fork writes a recipe into the user's folder that extends another one under a
// new name, to be edited, and returns its file. A file that exists is left.
func (s *Set) Fork(name, as string) (string, error) {
	r, err := s.Get(name)
	if err != nil {
		return "", err
	}
	file := filepath.Join(s.userDir, as+".yaml")
	if _, err := s.Get(as); s.userDir == "" || !errors.As(err, new(*UnknownError)) {
		return "", &Error{File: file, Key: "name", Msg: fmt.Sprintf("there is a target %q already", as)}
	}
	lock := r.LockName()
	r.Name = as
	for _, p := range r.validate() {
		return "", &Error{File: file, Key: p.key, Msg: p.msg}
	}
	text := fmt.Sprintf("apiVersion: %s\nkind: Target\nextends: %s\nlock: %s\nname: %s\ntitle: %q\n# What stands here wins over %s: `ingot target show %s` prints it all.\n",
		APIVersion, name, lock, as, r.Title+" ("+as+")", name, name)
	if err := os.MkdirAll(s.userDir, 0o700); err != nil {
		return "", fmt.Errorf("targets folder: %w", err)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("fork %s: %w", name, err)
	}
	_, err = f.WriteString(text)
	return file, errors.Join(err, f.Close())
}

// Problem is why a target cannot be used, or nil.
func (s *Set) Problem(name string) error { return s.problems[name] }

// Lock reads the recipe's lock; a missing one is a *StaleLockError.
func (s *Set) Lock(r Recipe) (Lock, error) {
	l, _, err := s.LockOf(r)
	return l, err
}

// LockOf is Lock with the lock's digest, which is remembered as the lock is.
func (s *Set) LockOf(r Recipe) (l Lock, digest string, err error) {
	file, data, err := s.read("targets/" + r.LockName() + ".lock.yaml")
	if errors.Is(err, fs.ErrNotExist) {
		return Lock{}, "", &StaleLockError{r.Name, "there is no lock yet"}
	}
	if err != nil {
		return Lock{}, "", err
	}
	key := fmt.Sprintf("%s %x", file, sha256.Sum256(data))
	if l, ok := s.locks.Load(key); ok {
		l := l.(readLock)
		return l.Lock, l.digest, nil
	}
	if l, err = ParseLock(file, data); err != nil {
		return l, "", err
	}
	digest = l.Digest()
	s.locks.Store(key, readLock{l, digest})
	return l, digest, nil
}

type readLock struct {
	Lock
	digest string
}

// LockPath is where a renewed lock of r is written.
func (s *Set) LockPath(r Recipe) string {
	return filepath.Join(s.userDir, r.LockName()+".lock.yaml")
}

// Fragment reads a kernel configuration fragment named by a recipe; a file of
// that name beside the user's targets wins over the shipped one.
func (s *Set) Fragment(name string) (file string, data []byte, err error) {
	if !fs.ValidPath(name) {
		return "", nil, fmt.Errorf("kernel fragment %q: the name must be a relative path", name)
	}
	file, data, err = s.read(path.Join("kernel", name))
	if err != nil {
		return file, nil, fmt.Errorf("kernel fragment %q: %w", name, err)
	}
	return file, data, nil
}
