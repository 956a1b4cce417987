package all

import (
	"context"
	"errors"
	"strings"
	"testing"

	"ingot/backend/guest"
	"ingot/backend/home"
)

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		guest home.GuestConfig
		want  string
	}{
		"unknown kind":  {home.GuestConfig{Name: "a", Kind: "vm"}, "key guests[1].kind: \"vm\" is not known; accepted: local, ssh, lima"},
		"no kind":       {home.GuestConfig{Name: "a"}, "accepted: local, ssh, lima"},
		"ssh, no host":  {home.GuestConfig{Name: "a", Kind: "ssh"}, "key guests[1].host: is required"},
		"lima, no name": {home.GuestConfig{Kind: "lima"}, "key guests[1].instance: is required"},
		"good":          {home.GuestConfig{Name: "a", Kind: "lima"}, ""},
	} {
		err := Check([]home.GuestConfig{{Kind: "local"}, c.guest}, "config.yaml")
		var conf *home.ConfigError
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &conf) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestFind(t *testing.T) {
	configured := []home.GuestConfig{{Name: "forge", Kind: "ssh", Host: "h"}, {Name: "lima:x", Kind: "ssh", Host: "mine"}}
	for name, want := range map[string]string{"": "local", "local": "local", "forge": "ssh", "lima:vm": "lima", "lima:x": "ssh", "lima:": "", "other": ""} {
		c, ok := Find(configured, name)
		if c.Kind != want && ok || ok != (want != "") {
			t.Errorf("%q: %+v, %v, want kind %q", name, c, ok, want)
		}
	}
}

// throwAway is a kind of guest for this test.
type throwAway struct{ guest.LocalKind }

func (throwAway) Name() string { return "throw-away" }
func (throwAway) Named(name string) (home.GuestConfig, bool) {
	return home.GuestConfig{Kind: "throw-away"}, name == "throw:away"
}

// A new kind of guest needs one line in the table: then it is checked, found by name
// and opened.
func TestOneMoreKind(t *testing.T) {
	defer func(before []guest.Kind) { Kinds = before }(Kinds)
	Kinds = append(Kinds[:len(Kinds):len(Kinds)], throwAway{})
	c, ok := Find(nil, "throw:away")
	if !ok || Check([]home.GuestConfig{c}, "f") != nil {
		t.Fatalf("%+v, %v", c, ok)
	}
	g, err := Open(context.Background(), c)
	if err != nil || g.Name() != "local" {
		t.Errorf("%v, %v", g, err)
	}
}
