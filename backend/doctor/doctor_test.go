package doctor

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ingot/backend/cause"
	"ingot/backend/home"
)

// A Mac's package manager is found though PATH does not name it; without one the message
// says so.
func TestPackageManager(t *testing.T) {
	lacking := []Check{{Name: "limactl", pkg: "lima"}, {Name: "qemu-system-aarch64", pkg: "qemu"}, {Name: "disk space"}}
	t.Setenv("PATH", "/usr/bin:/bin")
	t.Setenv("HOME", t.TempDir())
	if _, err := home.LookTool("brew"); err == nil {
		t.Skip("Homebrew is installed")
	}
	run := func(command string) error {
		return install(t.Context(), command, true, nil, io.Discard)
	}
	if got := macCommands(lacking); !slices.Equal(got, []string{"brew install lima qemu"}) || cause.IDOf(run(got[0])) != "host.no-homebrew" {
		t.Errorf("neither: %q", got)
	}
	bin := filepath.Join(os.Getenv("HOME"), ".local", "bin") // one of home.SearchPath's folders
	if err := errors.Join(os.MkdirAll(bin, 0o755), os.WriteFile(filepath.Join(bin, "port"), []byte("#!/bin/sh\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if got := macCommands(lacking); !slices.Equal(got, []string{"port install lima qemu"}) || run(got[0]) != nil {
		t.Errorf("MacPorts: %q", got)
	}
	if err := os.WriteFile(filepath.Join(bin, "brew"), []byte("#!/bin/sh\n[ \"$*\" = 'install lima qemu' ]\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := macCommands(lacking); !slices.Equal(got, []string{"brew install lima qemu"}) || run(got[0]) != nil {
		t.Errorf("both: %q", got)
	}
	if macCommands(lacking[2:]) != nil {
		t.Error("a command where nothing is to install")
	}
}

// What a guest lacks is installed there, what this computer lacks here, by each
// one's own package manager.
func TestInstallCommands(t *testing.T) {
	r := Report{Guest: "lima:forge", Checks: []Check{
		{Name: "qemu-system-aarch64", pkg: "qemu"},
		{Name: "firmware", OK: true, pkg: "qemu-efi-aarch64"},
		{Name: "bison", pkg: "bison", guest: "lima:forge"},
		{Name: "gcc", pkg: "gcc-aarch64-linux-gnu", guest: "lima:forge"},
		{Name: "subids:me.guest", guest: "lima:forge"},
		{Name: "subids:me';reboot;'", guest: "lima:forge"}, // no command is made of it
		{Name: "disk space"},
	}}
	if got := macCommands(r.lacking("")); !slices.Equal(got, []string{"brew install qemu"}) {
		t.Errorf("here: %q", got)
	}
	got := linuxCommands(r.lacking("lima:forge"))
	if len(got) != 3 || !strings.HasSuffix(got[2], " me.guest'") || !strings.HasSuffix(got[1], " bison gcc-aarch64-linux-gnu libc6-dev-arm64-cross") {
		t.Errorf("in the guest: %q", got)
	}
	if got := linuxCommands(r.lacking("other")); len(got) != 0 {
		t.Errorf("where nothing is lacking: %q", got)
	}
}
