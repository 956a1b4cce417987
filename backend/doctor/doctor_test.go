package doctor

import (
	"slices"
	"strings"
	"testing"
)

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
	if got := installCommands(r.lacking(""), true); !slices.Equal(got, []string{"brew install qemu"}) {
		t.Errorf("here: %q", got)
	}
	got := installCommands(r.lacking("lima:forge"), false)
	if len(got) != 3 || !strings.HasSuffix(got[2], " me.guest'") || !strings.HasSuffix(got[1], " bison gcc-aarch64-linux-gnu libc6-dev-arm64-cross") {
		t.Errorf("in the guest: %q", got)
	}
	if got := installCommands(r.lacking("other"), false); len(got) != 0 {
		t.Errorf("where nothing is lacking: %q", got)
	}
}
