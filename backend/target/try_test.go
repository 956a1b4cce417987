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
	r, err := s.Try("mine", head+"title: Another\n")
	if err != nil || r.Title != "Another" || r.Arch != "arm64" || r.Origin() != file {
		t.Errorf("%+v, %v", r.Title, err)
	}
	if _, err := s.Try("mine", head+"nonsense: 1\n"); err == nil || !strings.Contains(err.Error(), ":5: ") {
		t.Errorf("a mistake: %v", err)
	}
	if _, err := s.Try("mine", strings.Replace(head, "debian-12-arm64", "mine", 1)); err == nil {
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
	var unknown *UnknownError
	if _, _, _, err := s.Source("none"); !errors.As(err, &unknown) {
		t.Errorf("%v", err)
	}
}
