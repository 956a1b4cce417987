package target

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"ingot/resources"
)

// What is sent means the same where it arrives: recipe, lock, fragments.
func TestSentMeansTheSame(t *testing.T) {
	set, err := Load(resources.FS, "../../test/targets")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		r, err := set.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		sent, err := set.Send(name)
		var stale *StaleLockError
		if errors.As(err, &stale) {
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := json.Marshal(sent)
		if err != nil {
			t.Fatal(err)
		}
		var got Sent
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		there, err := got.Set()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		arrived, err := there.Get(name)
		if err != nil || arrived.Digest() != r.Digest() || arrived.Kernel.Objects != r.Kernel.Objects {
			t.Errorf("%s: digest %s, sent %s, %v", name, arrived.Digest(), r.Digest(), err)
		}
		lock, err := set.Lock(r)
		if err != nil {
			t.Fatal(err)
		}
		if l, err := there.Lock(arrived); err != nil || l.Digest() != lock.Digest() || l.Check(arrived) != nil {
			t.Errorf("%s: lock %v", name, err)
		}
		for _, f := range r.Kernel.Configs {
			_, want, _ := set.Fragment(f)
			if _, data, err := there.Fragment(f); err != nil || string(data) != string(want) {
				t.Errorf("%s: fragment %s: %v", name, f, err)
			}
		}
	}
}

// What is sent is checked like a file of the user's.
func TestSentIsChecked(t *testing.T) {
	set, err := Load(resources.FS, "")
	if err != nil {
		t.Fatal(err)
	}
	good, err := set.Send("debian-12-arm64")
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Sent){
		"another meaning": func(s *Sent) { s.Recipe = strings.Replace(s.Recipe, "title: ", "title: X", 1) },
		"unknown key":     func(s *Sent) { s.Recipe += "run: rm\n" },
		"bad name":        func(s *Sent) { s.Recipe = strings.Replace(s.Recipe, "name: debian", "name: ../debian", 1) },
		"upwards":         func(s *Sent) { s.Fragments["../../x"] = "" },
	} {
		bad := good
		bad.Fragments = map[string]string{}
		for k, v := range good.Fragments {
			bad.Fragments[k] = v
		}
		spoil(&bad)
		if _, err := bad.Set(); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
