package qemu

import (
	"errors"
	"testing"

	"ingot/backend/guest"
	"ingot/backend/guest/guesttest"
)

// A system that refuses to end is an error at once, and not a long wait for its end.
func TestAsked(t *testing.T) {
	s := guesttest.StartSSHD(t)
	ssh, err := guest.DialSSH(t.Context(), guest.SSHOptions{Name: "test", Addr: s.Addr, User: s.User, KeyFile: s.Key, KnownHostsFile: s.Known})
	if err != nil {
		t.Fatal(err)
	}
	g := &Guest{SSH: ssh}
	defer ssh.Close()
	var exit *guest.ExitError
	if err := g.asked(t.Context(), "false"); !errors.As(err, &exit) || exit.Code <= 0 {
		t.Errorf("a refusal: %v", err)
	}
	if err := g.asked(t.Context(), "true"); err != nil {
		t.Errorf("an agreement: %v", err)
	}
}
