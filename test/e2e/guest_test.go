//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	events "ingot/backend/event"
	"ingot/backend/guest"
	"ingot/backend/guest/guesttest"
	"ingot/backend/guest/qemu"
	emulator "ingot/backend/qemu"
)

// A machine of Ingot's own is a guest like any other: it passes the conformance suite,
// restarts, and shuts down with what was written in its overlay; the disk below stays as
// it was.
func TestP_MachineAsGuest(t *testing.T) {
	if os.Getenv("INGOT_E2E_SOAK") == "" {
		t.Skip("part of make soak; TestP_RunTheDisk starts such a machine too")
	}
	before := artifactSum(t)
	dir := filepath.Join(work, "machine")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	login, host, err := qemu.NewLogin(dir, "ingot")
	if err != nil {
		t.Fatal(err)
	}
	seed := filepath.Join(dir, "seed.iso")
	if err := emulator.WriteLoginSeed(seed, host); err != nil {
		t.Fatal(err)
	}
	children := events.Children{Dir: filepath.Join(work, "home", "data", "children")} // the next owner ends what this test leaves
	o := qemu.Options{Arch: "arm64", CPUs: 2, Memory: 1 << 30, Cache: cacheDir(), Children: children, Image: artifact(t), Format: "qcow2",
		Overlay: filepath.Join(dir, "overlay.qcow2"), Media: []string{seed}, Console: filepath.Join(dir, "console.log")}
	ctx := context.Background()
	g, err := qemu.Open(ctx, "test", o, login, 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if g.Name() != "qemu:test" {
		t.Errorf("the name is %q", g.Name())
	}
	guesttest.Run(t, func(*testing.T) guest.Guest { return shared{g} })
	say := func(script string) string {
		t.Helper()
		var out bytes.Buffer
		if err := g.Run(ctx, guest.Cmd{Argv: guest.AsRoot("sh", "-c", script), Stdout: &out}); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out.String())
	}
	say("echo kept > /trace")
	if err := g.Reboot(ctx, 10*time.Minute); err != nil {
		t.Fatal(err)
	}
	if got := say("cat /trace"); got != "kept" {
		t.Errorf("after the restart: %q", got)
	}
	if err := g.Halt(ctx, 5*time.Minute); err != nil {
		t.Fatal(err)
	}
	if log, err := os.ReadFile(o.Console); err != nil || !bytes.Contains(log, []byte("Linux version")) {
		t.Errorf("the console's log has %d bytes and no kernel, %v", len(log), err)
	}
	if info, err := os.Stat(o.Overlay); err != nil || info.Size() < 1<<20 {
		t.Errorf("the overlay: %v, %v", info, err)
	}
	if left, err := children.Orphans(); err != nil || len(left) > 0 {
		t.Errorf("children: %v, %v", left, err)
	}
	if records, _ := filepath.Glob(filepath.Join(children.Dir, "*")); len(records) > 0 {
		t.Errorf("records of what has ended: %v", records)
	}
	if after := artifactSum(t); after != before {
		t.Errorf("the disk was %s and is %s", before, after)
	}
}

// shared is a guest that several tests use, one after the other.
type shared struct{ guest.Guest }

func (shared) Close() error { return nil }
