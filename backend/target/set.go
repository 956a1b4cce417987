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

	"ingot/backend/cause"
	"ingot/backend/limit"
)

// Set is all recipes of this installation, resolved. A file that does not parse is kept
// as a problem, so that the others can be used.
type Set struct {
	shipped  fs.FS  // resources.FS
	userDir  string // <config>/targets
	check    FamilyCheck
	recipes  map[string]Recipe
	problems map[string]error
	locks    sync.Map // file and digest of its bytes → readLock

	draft     string // name of a target whose file is draftText; see Try
	draftText string
}

// Load reads the shipped recipes and the user's, which override shipped ones of the
// same name. check, which must not be nil, is the check of the families.
func Load(shipped fs.FS, userDir string, check FamilyCheck) (*Set, error) {
	s := &Set{shipped: shipped, userDir: userDir, check: check, recipes: map[string]Recipe{}, problems: map[string]error{}}
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

// shippedFolder begins the name of a file of the program.
const shippedFolder = "resources/"

// read returns the user's file if it exists, else the shipped one.
func (s *Set) read(rel string) (string, []byte, error) {
	if s.draft != "" && rel == "targets/"+s.draft+".yaml" {
		return filepath.Join(s.userDir, s.draft+".yaml"), []byte(s.draftText), nil
	}
	if s.userDir != "" {
		p := filepath.Join(s.userDir, filepath.FromSlash(strings.TrimPrefix(rel, "targets/")))
		if b, err := limit.ReadFile(p, limit.Settings); err == nil {
			return p, b, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return p, nil, fmt.Errorf("read %s: %w", p, err)
		}
	}
	b, err := fs.ReadFile(s.shipped, rel)
	return shippedFolder + rel, b, err
}

func (s *Set) resolve(name string, chain []string) (Recipe, error) {
	file, data, err := s.read("targets/" + name + ".yaml")
	if err != nil {
		return Recipe{}, fmt.Errorf("read target %s: %w", name, err)
	}
	found := unknownKeys(file, data, Recipe{})
	var head Recipe
	if err := decode(file, data, &head); err != nil {
		return Recipe{}, mistakes(append(found, err))
	}
	r := Recipe{}
	if head.Extends != "" {
		if r, err = s.base(file, data, head, name, chain); err != nil {
			return Recipe{}, err
		}
		if err := decode(file, data, &r); err != nil {
			return Recipe{}, mistakes(append(found, err))
		}
	} else {
		r = head
	}
	r.origin = file
	if r.Name != name {
		return Recipe{}, positioned(file, data, "$.name", "name", fmt.Sprintf("%q differs from the file name; accepted: %q", r.Name, name))
	}
	misspelt := len(found) > 0
	problems := append(r.applyChanges(), s.findKernel(&r, chain)...)
	for _, p := range append(problems, r.validate(s.check)...) {
		e := positioned(file, data, p.Path, p.Key, p.Msg)
		if e.Line == 0 && misspelt { // an absent key may be the misspelt one
			continue
		}
		found = append(found, e)
	}
	return r, mistakes(found)
}

// base resolves the recipe that a recipe extends. A user's file that overrides a
// shipped one of the same name may extend the shipped one.
func (s *Set) base(file string, data []byte, head Recipe, name string, chain []string) (Recipe, error) {
	from := s
	if head.Extends == name && !strings.HasPrefix(file, "resources/") {
		from = &Set{shipped: s.shipped, check: s.check}
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

// UnknownError reports that no target has this name.
type UnknownError struct {
	Name  string
	Known []string
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("there is no target %q; known: %s", e.Name, strings.Join(e.Known, ", "))
}

// ErrorClass returns the class of the error; see package cause.
func (*UnknownError) ErrorClass() cause.Class { return cause.Input }

// Get returns a resolved recipe, the recipe's problem, or an *UnknownError.
func (s *Set) Get(name string) (Recipe, error) {
	if r, ok := s.recipes[name]; ok {
		return r, nil
	}
	if err, ok := s.problems[name]; ok {
		return Recipe{}, err
	}
	return Recipe{}, &UnknownError{name, s.Names()}
}

// Names returns all targets, including broken ones, sorted.
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

// Fork writes a new recipe that extends another one to the user's folder, to be edited,
// and returns its file. It does not overwrite a file.
func (s *Set) Fork(name, as string) (string, error) {
	r, err := s.Get(name)
	if err != nil {
		return "", err
	}
	file, err := s.newFile(as)
	if err != nil {
		return "", err
	}
	lock := r.LockName()
	r.Name = as
	for _, p := range r.validate(s.check) {
		return "", &Error{File: file, Key: p.Key, Msg: p.Msg}
	}
	text := fmt.Sprintf(forkText, as, name, APIVersion, name, lock, as, r.Title+" ("+as+")", name)
	if err := writeNew(file, text); err != nil {
		return "", fmt.Errorf("fork %s: %w", name, err)
	}
	return file, nil
}

// Try returns the recipe that a target would have with another text of its file, and the
// one that it would extend; nil is none. No file is read for it but those that the text
// names, and none is written.
func (s *Set) Try(name, text string) (r Recipe, extended *Recipe, err error) {
	t := &Set{shipped: s.shipped, userDir: s.userDir, check: s.check, draft: name, draftText: text}
	if r, err = t.resolve(name, nil); err != nil || r.Extends == "" {
		return r, nil, err
	}
	base, err := t.base("", nil, r, name, nil)
	return r, &base, err
}

// Source returns the file of a target and its text, and whether it is the user's own:
// a shipped one cannot be changed.
func (s *Set) Source(name string) (file, text string, own bool, err error) {
	if !slices.Contains(s.Names(), name) {
		return "", "", false, &UnknownError{name, s.Names()}
	}
	file, data, err := s.read("targets/" + name + ".yaml")
	return file, string(data), !strings.HasPrefix(file, shippedFolder), err
}

// newFile returns the file of a new target of the user's; an error if there is a target of
// that name.
func (s *Set) newFile(name string) (string, error) {
	file := filepath.Join(s.userDir, name+".yaml")
	if _, err := s.Get(name); s.userDir == "" || !errors.As(err, new(*UnknownError)) {
		return "", &Error{File: file, Key: "name", Msg: fmt.Sprintf("there is a target %q already", name)}
	}
	return file, nil
}

// writeNew writes a file that must not exist, and makes its folder.
func writeNew(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("targets folder: %w", err)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// forkText is a recipe that extends another one, with the keys that are most often
// changed.
const forkText = `# The target %[1]s: it is %[2]s with what this file changes.
# "ingot target show %[1]s" prints the whole of it, "ingot target validate %[1]s" checks it.
apiVersion: %[3]s
kind: Target
extends: %[4]s
lock: %[5]s # of the packages; take this line out, and run "ingot target update %[1]s", once packages change
name: %[6]s
title: %[7]q
variant: %[6]s # part of the published file's name
# packages: {add: [htop], remove: [nano]}
# files: {add: [{path: /etc/motd, content: "hello\n"}]}
# kernel: {configs: [base.config, arm64.config, mine.config]} # mine.config beside this file, in kernel/
# disk: {size: 8GiB}
# export: {formats: [qcow2, raw]}
`

// Problem returns why a target cannot be used, or nil.
func (s *Set) Problem(name string) error { return s.problems[name] }

// Lock returns the recipe's lock; a missing one is a *StaleLockError.
func (s *Set) Lock(r Recipe) (Lock, error) {
	l, _, err := s.LockOf(r)
	return l, err
}

// LockText returns the text of the recipe's lock file, nothing for a recipe without a
// lock; a missing one is a *StaleLockError.
func (s *Set) LockText(r Recipe) ([]byte, error) {
	if !r.Locked() {
		return nil, nil
	}
	_, data, err := s.read("targets/" + r.LockName() + ".lock.yaml")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &StaleLockError{r.Name, "there is no lock yet"}
	}
	return data, err
}

// LockOf returns the recipe's lock and its digest, both from a cache. A recipe without a
// lock has an empty one, and "" as its digest.
func (s *Set) LockOf(r Recipe) (l Lock, digest string, err error) {
	if !r.Locked() {
		return Lock{}, "", nil
	}
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

// LockPath returns the file to which a renewed lock of r is written.
func (s *Set) LockPath(r Recipe) string {
	return filepath.Join(s.userDir, r.LockName()+".lock.yaml")
}

// Fragment returns a kernel configuration fragment that a recipe names; a file of that
// name beside the user's targets overrides the shipped one.
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
