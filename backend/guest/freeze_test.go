package guest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// staged is the local guest with the test's programs first in PATH.
type staged struct {
	*Local
	bin string
}

func (s staged) Run(ctx context.Context, c Cmd) error {
	c.Env = append(c.Env, "PATH="+s.bin+":"+os.Getenv("PATH"))
	return s.Local.Run(ctx, c)
}

// stage writes the programs; their arguments are written to the file log.
func stage(t *testing.T, programs map[string]string) (staged, func() string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	for name, body := range programs {
		text := "#!/bin/sh\nLOG=" + log + "\n" + body + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return staged{&Local{}, dir}, func() string {
		b, _ := os.ReadFile(log)
		return string(b)
	}
}

const (
	root    = `echo 0`
	mounts  = `echo /data; echo /` // instead of awk
	freezes = `echo "$@" >> $LOG`
)

func TestFreeze(t *testing.T) {
	g, log := stage(t, map[string]string{"id": root, "cut": mounts, "awk": ":", "sync": ":", "fsfreeze": freezes})
	thaw, err := Freeze(context.Background(), g, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if got := log(); got != "-f /data\n-f /\n" {
		t.Errorf("frozen: %q", got)
	}
	if err := errors.Join(thaw(), thaw()); err != nil {
		t.Fatal(err)
	}
	if got := log(); !strings.HasPrefix(got, "-f /data\n-f /\n-u /data\n-u /\n") {
		t.Errorf("thawed: %q", got)
	}
}

// A thaw after the limit returns an error, and the watchdog has thawed before.
func TestFreezeLimit(t *testing.T) {
	g, log := stage(t, map[string]string{"id": root, "cut": "echo /", "awk": ":", "sync": ":", "sleep": ":", "fsfreeze": freezes})
	thaw, err := Freeze(context.Background(), g, time.Nanosecond)
	if err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(log(), "-u /") {
		time.Sleep(time.Millisecond) // another process, which does not notify the test
	}
	if err := thaw(); err == nil {
		t.Error("it says that they rested all the time")
	}
}

func TestFreezeFails(t *testing.T) {
	for name, programs := range map[string]map[string]string{
		"not root":   {"id": "echo 1000", "sudo": "echo a password is required >&2; exit 1"},
		"no freeze":  {"id": root, "cut": mounts, "awk": ":", "sync": ":", "fsfreeze": `echo "$@" >> $LOG; [ "$*" != "-f /" ]`},
		"no program": {"id": root, "cut": mounts, "awk": ":", "sync": ":", "fsfreeze": "exit 127"},
	} {
		g, log := stage(t, programs)
		if _, err := Freeze(context.Background(), g, time.Minute); !errors.Is(err, ErrCannotFreeze) {
			t.Errorf("%s: %v", name, err)
		}
		if got := log(); strings.Contains(got, "-f /data") && !strings.Contains(got, "-u /data") {
			t.Errorf("%s: it is left frozen: %q", name, got)
		}
	}
	g, log := stage(t, map[string]string{"id": root, "cut": "echo /", "awk": ":", "sync": `echo sync >> $LOG; read x`, "fsfreeze": freezes})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for !strings.Contains(log(), "sync") {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := Freeze(ctx, g, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if got := log(); strings.Contains(got, "-f /") && !strings.Contains(got, "-u /") {
		t.Errorf("cancelled: it is left frozen: %q", got)
	}
}
