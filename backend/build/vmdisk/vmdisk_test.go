package vmdisk

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ingot/backend/cause"
	"ingot/backend/disk/ext4/ext4test"
	"ingot/backend/guest/guesttest"
	"ingot/backend/guest/lima"
	"ingot/backend/qemu"
	"ingot/backend/target"
)

// The network of the copy's machine has the address that the VM's seed matches.
func TestAddress(t *testing.T) {
	seed := filepath.Join(t.TempDir(), "seed.iso")
	// as cidata.TEMPLATE.d/network-config of Lima 2.2.0 writes it
	network := "version: 2\nethernets:\n  eth0:\n    match:\n      macaddress: '52:55:55:0A:b1:02'\n    dhcp4: true\n    set-name: eth0\n"
	if err := qemu.WriteISO(seed, "cidata", map[string]string{"meta-data": "instance-id: x\n", "network-config": network}); err != nil {
		t.Fatal(err)
	}
	if mac, err := addressIn(seed); err != nil || mac != "52:55:55:0a:b1:02" {
		t.Errorf("%q, %v", mac, err)
	}
	if err := os.Remove(seed); err != nil {
		t.Fatal(err)
	}
	if err := qemu.WriteISO(seed, "cidata", map[string]string{"network-config": "version: 2\n"}); err != nil {
		t.Fatal(err)
	}
	if mac, err := addressIn(seed); err != nil || mac != "" {
		t.Errorf("a seed without an address: %q, %v", mac, err)
	}
	for _, bad := range []map[string]string{{"user-data": "x"}, {"network-config": "macaddress: '52:55:55:55:55:5z:'"}} {
		if err := os.Remove(seed); err != nil {
			t.Fatal(err)
		}
		if err := qemu.WriteISO(seed, "cidata", bad); err != nil {
			t.Fatal(err)
		}
		if mac, err := addressIn(seed); mac != "" {
			t.Errorf("%v: %q, %v", bad, mac, err)
		}
	}
	if _, err := addressIn(filepath.Join(t.TempDir(), "none.iso")); err == nil {
		t.Error("a seed that does not exist has an address")
	}
}

// A disk is the same as before only while its VM is stopped and none of its files was
// written.
func TestState(t *testing.T) {
	dir := t.TempDir()
	disk, base := filepath.Join(dir, "disk"), filepath.Join(dir, "base")
	for _, f := range []string{disk, base} {
		if err := os.WriteFile(f, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	i := lima.Instance{Status: lima.Stopped, Disk: disk, Base: base}
	first := StateOf(i)
	if first == "" || StateOf(i) != first {
		t.Fatalf("%q, then %q", first, StateOf(i))
	}
	for _, status := range []lima.Status{lima.Running, lima.Broken, lima.Unknown} {
		if i := (lima.Instance{Status: status, Disk: disk, Base: base}); StateOf(i) != "" {
			t.Errorf("%s: its disk has a state", status)
		}
	}
	later := time.Now().Add(time.Hour)
	for _, f := range []string{disk, base} {
		before := StateOf(i)
		if err := os.Chtimes(f, later, later); err != nil {
			t.Fatal(err)
		}
		if StateOf(i) == before {
			t.Errorf("%s was written, and the state is the same", filepath.Base(f))
		}
	}
	if err := os.Remove(base); err != nil {
		t.Fatal(err)
	}
	if StateOf(i) != "" {
		t.Error("a disk without its base has a state")
	}
}

// stopped puts a stopped instance with a file system as its disk into a Lima store of the
// test's own.
func stopped(t *testing.T, config string, files ...string) {
	t.Helper()
	root, tree := t.TempDir(), t.TempDir()
	t.Setenv("LIMA_HOME", root)
	for _, name := range files {
		file := filepath.Join(tree, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("x"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(root, "web")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "lima.yaml"), []byte(config), 0o644)); err != nil {
		t.Fatal(err)
	}
	ext4test.Tool(t, "", "mke2fs", "-q", "-t", "ext4", "-d", tree, filepath.Join(dir, "disk"), "8M")
}

// What cannot become an image is refused before the disk is copied, or right after; no
// working file stays.
func TestMakeRefuses(t *testing.T) {
	const amd64 = "vmType: qemu\narch: x86_64\n"
	for name, c := range map[string]struct {
		config, instance, kernel string
		files                    []string
		want                     string
		copied                   bool
	}{
		"no instance":    {amd64, "other", "", nil, "lima.no-instance", false},
		"another arch":   {"vmType: qemu\narch: aarch64\n", "web", "", nil, "guest.other-arch", false},
		"broken":         {"vmType: qemu\narch: [x\n", "web", "", nil, "guest.other-arch lima.broken", false},
		"no GRUB":        {amd64, "web", "/kernel", []string{"boot/vmlinuz"}, "kernel.loader-unsupported", false},
		"GRUB":           {amd64, "web", "/kernel", []string{"boot/grub/grub.cfg"}, "lima.not-running", true},
		"GRUB of a boot": {amd64, "web", "/kernel", []string{"grub/grub.cfg"}, "lima.not-running", true},
		"never started":  {amd64, "web", "", nil, "lima.not-running", true},
	} {
		t.Run(name, func(t *testing.T) {
			stopped(t, c.config, c.files...)
			out, copied := t.TempDir(), false
			r := target.Recipe{Name: "mine", Arch: "amd64", Further: target.Further{Strategy: target.VM, VM: &target.SourceVM{Lima: c.instance}}}
			w := Work{Recipe: r, KernelDir: c.kernel, Log: io.Discard, Note: func(format string, args ...any) { copied = copied || strings.Contains(format, "copying") }}
			_, err := w.Make(t.Context(), out)
			if err == nil || !slices.Contains(strings.Fields(c.want), cause.IDOf(err)) || copied != c.copied {
				t.Errorf("%v (%s), copied: %v; want %s", err, cause.IDOf(err), copied, c.want)
			}
			if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

// A VM whose driver cannot copy a running disk is refused, or stopped for the copy and
// started again.
func TestStopForTheCopy(t *testing.T) {
	_, dir := guesttest.RunningVM(t, "vz", `echo "$1" >>"$dir/asked"
if [ "$1" = stop ]; then kill $(cat "$dir"/*.pid); rm "$dir"/*.pid "$dir/ha.sock"; fi
`)
	if err := os.WriteFile(filepath.Join(dir, "disk"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	w := Work{Recipe: target.Recipe{Name: "mine", Arch: "amd64", Further: target.Further{Strategy: target.VM, VM: &target.SourceVM{Lima: "one"}}}, Log: io.Discard, Note: func(string, ...any) {}}
	if _, err := w.Make(t.Context(), out); cause.IDOf(err) != "vm.must-stop" {
		t.Errorf("without a yes: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "asked")); err == nil {
		t.Error("limactl was called without a yes")
	}
	w.Stop = true
	if _, err := w.Make(t.Context(), out); err == nil || !strings.Contains(err.Error(), "the instance is Stopped") { // this limactl starts nothing
		t.Errorf("%v", err)
	}
	if asked, err := os.ReadFile(filepath.Join(dir, "asked")); err != nil || string(asked) != "stop\nstart\n" {
		t.Errorf("limactl was asked for %q, %v", asked, err)
	}
}
