package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// The commands that ask the owner say within ten seconds that it does not answer, and
// what to do, when its process is stopped. The controls: they work before, and again
// after it goes on.
func TestStoppedOwner(t *testing.T) {
	env := []string{"INGOT_HOME=" + t.TempDir(), "INGOT_KEYCHAIN=off", "INGOT_OWNER_IDLE=60s"}
	owner := exec.CommandContext(t.Context(), "ingot", "owner", "run")
	owner.Env = append(os.Environ(), env...)
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = owner.Process.Kill()
		_ = owner.Wait()
	}()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	pid := owner.Process.Pid
	if u := runBounded(t, env, "owner"); u.code != 0 || !strings.Contains(u.output, fmt.Sprint("process ", pid)) {
		t.Fatalf("before: %+v", u)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var all errgroup.Group
	all.SetLimit(4)
	for _, args := range []string{"owner", "builds", "owner stop", "follow x", "cancel x", "build debian-12-arm64", "target update debian-12-arm64"} {
		all.Go(func() error {
			u := runBounded(t, env, strings.Fields(args)...)
			if u.code == 0 || !u.within(silence) || !strings.Contains(u.output, fmt.Sprintf("kill -CONT %d", pid)) {
				t.Errorf("%s: exit %d after %s:\n%.1000s", args, u.code, u.took, u.output)
			}
			return nil
		})
	}
	all.Go(func() error { // does not need it
		if u := runBounded(t, env, "status"); u.code != 0 || !u.within(silence) {
			t.Errorf("status: exit %d after %s:\n%.1000s", u.code, u.took, u.output)
		}
		return nil
	})
	_ = all.Wait() // they report by themselves
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if u := runBounded(t, env, "builds"); u.code != 0 {
		t.Errorf("after: exit %d after %s:\n%.1000s", u.code, time.Since(began), u.output)
	}
}
