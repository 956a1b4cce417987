package target

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"ingot/resources"
)

// A sent target has the same recipe, lock and fragments at its receiver.
func TestSentMeansTheSame(t *testing.T) {
	set, err := Load(resources.FS, "../../test/targets", onlyDebian)
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
		there, err := got.Set(onlyDebian)
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

// A sent target is checked like a user's file.
func TestSentIsChecked(t *testing.T) {
	set, err := Load(resources.FS, "", onlyDebian)
	if err != nil {
		t.Fatal(err)
	}
	good, err := set.Send("debian-12-arm64")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(*Sent)
		want  string // in the error
	}{
		"another meaning": {func(s *Sent) { s.Recipe = strings.Replace(s.Recipe, "title: ", "title: X", 1) }, "target debian-12-arm64 differs between submitter and worker"},
		"unknown key":     {func(s *Sent) { s.Recipe += "run: rm\n" }, `key "run"`},
		"bad name":        {func(s *Sent) { s.Recipe = strings.Replace(s.Recipe, "name: debian", "name: ../debian", 1) }, "../debian"},
		"upwards":         {func(s *Sent) { s.Fragments["../../x"] = "" }, "../../x"},
	} {
		bad := good
		bad.Fragments = map[string]string{}
		for k, v := range good.Fragments {
			bad.Fragments[k] = v
		}
		c.spoil(&bad)
		if _, err := bad.Set(onlyDebian); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want %q in it", name, err, c.want)
		}
	}
}
