package target

import (
	"fmt"
	"io/fs"

	"github.com/goccy/go-yaml"
)

// Sent is one target with everything that its build depends on, as it is sent to
// another machine. The receiver does not use its own recipes.
type Sent struct {
	Recipe    string            `json:"recipe"` // YAML, resolved
	Lock      string            `json:"lock"`   // YAML
	Fragments map[string]string `json:"fragments"`
	Digest    string            `json:"digest"` // recipe digest; see Recipe.Digest
}

// Send returns a target with its lock and fragments.
func (s *Set) Send(name string) (Sent, error) {
	r, err := s.Get(name)
	if err != nil {
		return Sent{}, err
	}
	lock, err := s.Lock(r)
	if err == nil {
		err = lock.Check(r)
	}
	if err != nil {
		return Sent{}, err
	}
	out := Sent{Fragments: map[string]string{}, Digest: r.Digest()}
	text, err := yaml.Marshal(r)
	if err != nil {
		return Sent{}, fmt.Errorf("send target %s: %w", name, err)
	}
	out.Recipe = string(text)
	if text, err = lock.Marshal(); err != nil {
		return Sent{}, err
	}
	out.Lock = string(text)
	for _, f := range r.Kernel.Configs {
		_, data, err := s.Fragment(f)
		if err != nil {
			return Sent{}, err
		}
		out.Fragments[f] = string(data)
	}
	return out, nil
}

// Set returns a set of only this target. The recipe is checked like a user's file, with
// check for its family, and must have the digest that the sender computed.
func (s Sent) Set(check FamilyCheck) (*Set, error) {
	const file = "the sent recipe"
	var r Recipe
	if err := decodeStrict(file, []byte(s.Recipe), &r); err != nil {
		return nil, err
	}
	if ps := r.validate(check); len(ps) > 0 {
		return nil, &Error{File: file, Key: ps[0].Key, Msg: ps[0].Msg}
	}
	if got := r.Digest(); got != s.Digest {
		return nil, &Error{File: file, Msg: fmt.Sprintf("target %s differs between submitter and worker (recipe digest %s here, %s there): run the same version of Ingot on both", r.Name, got, s.Digest)}
	}
	r.origin = file
	files := texts{"targets/" + r.LockName() + ".lock.yaml": s.Lock}
	for name, text := range s.Fragments {
		if !fs.ValidPath(name) {
			return nil, &Error{File: file, Key: "kernel.configs", Msg: fmt.Sprintf("the fragment's name %q is not a relative path", name)}
		}
		files["kernel/"+name] = text
	}
	return &Set{shipped: files, check: check, recipes: map[string]Recipe{r.Name: r}, problems: map[string]error{}}, nil
}

// texts is a read-only file system of texts by path, without folders.
type texts map[string]string

// Open implements fs.FS; it always fails.
func (t texts) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadFile returns a text.
func (t texts) ReadFile(name string) ([]byte, error) {
	text, ok := t[name]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(text), nil
}
