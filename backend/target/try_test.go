package target

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// A text is tried in the place of a target's file: what it extends is read, the file
// itself is not, and nothing is written.
func TestTry(t *testing.T) {
	const head = "apiVersion: ingot/v1\nkind: Target\nextends: debian-12-arm64\nname: mine\n"
	s := user(t, "mine", head+"title: As it is\n")
	file, text, own, err := s.Source("mine")
	if err != nil || !own || text != head+"title: As it is\n" {
		t.Fatalf("%s: %q, %v, %v", file, text, own, err)
	}
	r, base, err := s.Try("mine", head+"title: Another\n")
	if err != nil || base == nil || base.Name != "debian-12-arm64" || r.Title != "Another" || r.Arch != "arm64" || r.Origin() != file {
		t.Errorf("%+v, %v", r.Title, err)
	}
	if _, _, err := s.Try("mine", head+"nonsense: 1\n"); err == nil || !strings.Contains(err.Error(), ":5: ") {
		t.Errorf("a mistake: %v", err)
	}
	if _, _, err := s.Try("mine", strings.Replace(head, "debian-12-arm64", "mine", 1)); err == nil {
		t.Error("it extends itself")
	}
	if r, err := s.Get("mine"); err != nil || r.Title != "As it is" {
		t.Errorf("after the tries: %q, %v", r.Title, err)
	}
	if now, err := os.ReadFile(file); err != nil || string(now) != text {
		t.Errorf("the file: %q, %v", now, err)
	}
	if _, _, own, err := s.Source("debian-12-arm64"); err != nil || own {
		t.Errorf("a shipped one: own %v, %v", own, err)
	}
	// a user's file of a shipped one's name extends that
	own2 := strings.ReplaceAll(head, "name: mine", "name: debian-12-arm64")
	o := user(t, "debian-12-arm64", own2)
	if r, base, err := o.Try("debian-12-arm64", own2+"title: Mine\n"); err != nil || base == nil || base.Title == "Mine" || r.Title != "Mine" {
		t.Errorf("%q, %+v, %v", r.Title, base, err)
	}
	var unknown *UnknownError
	if _, _, _, err := s.Source("none"); !errors.As(err, &unknown) {
		t.Errorf("%v", err)
	}
}
