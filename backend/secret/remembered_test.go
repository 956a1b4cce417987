package secret

import (
	"errors"
	"testing"
)

// counted counts what a store is asked.
type counted struct {
	Store
	asked *int
}

func (c counted) Get(name string) ([]byte, error) {
	*c.asked++
	return c.Store.Get(name)
}

func TestRemembered(t *testing.T) {
	asked := 0
	dir := t.TempDir()
	store := counted{Files{t.TempDir()}, &asked}
	open := func() Store { return remembered{store, dir, t.Name()} }
	get := func(name, want string, times int) {
		t.Helper()
		asked = 0
		for range 3 {
			v, err := open().Get(name)
			if string(v) != want || (err != nil) != (want == "") || err != nil && !errors.Is(err, ErrNotFound) {
				t.Errorf("%s is %q, %v; want %q", name, v, err, want)
			}
		}
		if asked != times {
			t.Errorf("%s: the store was asked %d times, want %d", name, asked, times)
		}
	}
	get(retiredKeys, "", 1) // that there is none is an answer too
	if _, err := open().Create(signingKey, []byte("one")); err != nil {
		t.Fatal(err)
	}
	get(signingKey, "one", 1)
	get(signingKey, "one", 0)
	if err := open().Put(signingKey, []byte("two")); err != nil {
		t.Fatal(err)
	}
	get(signingKey, "two", 1)
	// another process has changed both
	if err := errors.Join(store.Put(signingKey, []byte("three")), remembered{store, dir, ""}.changed()); err != nil {
		t.Fatal(err)
	}
	get(signingKey, "three", 1)
	if err := store.Put("endpoint:x", []byte("four")); err != nil {
		t.Fatal(err)
	}
	get("endpoint:x", "four", 3) // credentials are not kept in memory
	if err := open().Forget(); err != nil {
		t.Fatal(err)
	}
	get(signingKey, "", 1)
}

// A store that does not answer is asked again.
func TestRememberedFailure(t *testing.T) {
	asked := 0
	r := remembered{counted{failing{}, &asked}, t.TempDir(), t.Name()}
	for range 2 {
		if _, err := r.Get(signingKey); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}

type failing struct{ Files }

func (failing) Get(string) ([]byte, error) { return nil, errors.New("it is locked") }
