package target

import (
	"fmt"
	"io/fs"

	"github.com/goccy/go-yaml"
)

// Sent is one target with all that its build goes by, as it travels to another
// machine: nothing of the receiver's own recipes plays a part.
type Sent struct {
	Recipe    string            `json:"recipe"` // YAML, resolved
	Lock      string            `json:"lock"`   // YAML
	Fragments map[string]string `json:"fragments"`
	Digest    string            `json:"digest"` // of the recipe's meaning
}

// Send packs a target.
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

// Set is the set of this target alone. What was sent is checked as if it were
// read from the user's files, and must mean what its sender said.
func (s Sent) Set() (*Set, error) {
	const file = "the sent recipe"
	var r Recipe
	if err := decodeStrict(file, []byte(s.Recipe), &r); err != nil {
		return nil, err
	}
	if ps := r.validate(); len(ps) > 0 {
		return nil, &Error{File: file, Key: ps[0].key, Msg: ps[0].msg}
	}
	if got := r.Digest(); got != s.Digest {
		return nil, &Error{File: file, Msg: fmt.Sprintf("it means something else here (digest %s) than where it was sent (%s)", got, s.Digest)}
	}
	r.origin = file
	files := texts{"targets/" + r.LockName() + ".lock.yaml": s.Lock}
	for name, text := range s.Fragments {
		if !fs.ValidPath(name) {
			return nil, &Error{File: file, Key: "kernel.configs", Msg: fmt.Sprintf("%q is no relative path", name)}
		}
		files["kernel/"+name] = text
	}
	return &Set{shipped: files, recipes: map[string]Recipe{r.Name: r}, problems: map[string]error{}}, nil
}

// texts is a file system of texts by path; it lists no folders.
type texts map[string]string

// Open is there for fs.FS.
func (t texts) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadFile reads a text.
func (t texts) ReadFile(name string) ([]byte, error) {
	text, ok := t[name]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(text), nil
}
