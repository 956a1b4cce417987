package qemu

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

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

// The shell runs its command when it is told, and not before; what failed is an error at
// once. A shell that is never told ends with the connection, and leaves nothing that waits.
func TestShell(t *testing.T) {
	s := guesttest.StartSSHD(t)
	dial := func() *guest.SSH {
		t.Helper()
		ssh, err := guest.DialSSH(t.Context(), guest.SSHOptions{Name: "test", Addr: s.Addr, User: s.User, KeyFile: s.Key, KnownHostsFile: s.Known})
		if err != nil {
			t.Fatal(err)
		}
		return ssh
	}
	if err := exec.Command("sh", "-c", `[ "$(id -u)" = 0 ] || sudo -n true`).Run(); err != nil {
		t.Skip("the test's user is not root and has no sudo")
	}
	before := runtime.NumGoroutine()
	ssh := dial()
	file := filepath.Join(t.TempDir(), "told")
	sh, err := openShell(t.Context(), ssh, "touch "+file)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if _, err := os.Stat(file); err == nil {
		t.Error("it ran before it was told")
	}
	sh.send()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it did not run")
		}
	}
	if sh, err = openShell(t.Context(), ssh, "false"); err != nil {
		t.Fatal(err)
	}
	sh.send()
	select {
	case err := <-sh.failed:
		var exit *guest.ExitError
		if !errors.As(err, &exit) || exit.Code != 1 {
			t.Errorf("%v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("a command that fails is not reported")
	}
	if _, err = openShell(t.Context(), ssh, "true"); err != nil { // never told
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openShell(cancelled, ssh, "true"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	_ = ssh.Close()
	for end := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
