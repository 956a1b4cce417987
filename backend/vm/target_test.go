package vm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend"
	"ingot/backend/cause"
	"ingot/backend/disk/ext4/ext4test"
	"ingot/backend/guest/guesttest"
	"ingot/backend/guest/lima"
	"ingot/backend/target"
)

// stoppedVM puts a stopped instance with a disk into the Lima store of the test's home.
// files are those of the disk's only file system, by path.
func stoppedVM(t *testing.T, name, config string, files map[string]string) {
	t.Helper()
	dir, tree := filepath.Join(os.Getenv("LIMA_HOME"), name), t.TempDir()
	for path, text := range files {
		file := filepath.Join(tree, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "lima.yaml"), []byte(config), 0o644)); err != nil {
		t.Fatal(err)
	}
	ext4test.Tool(t, "", "mke2fs", "-q", "-t", "ext4", "-d", tree, filepath.Join(dir, "disk"), "8M")
}

const bookworm = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n"

// The recipe of a stopped VM says what its disk says; it is written once, and found again
// by the VM.
func TestEnsureTarget(t *testing.T) {
	b := guestHome(t, "")
	stoppedVM(t, "web", "vmType: qemu\narch: x86_64\ncpus: 4\nfirmware: {legacyBIOS: true}\n", map[string]string{"usr/lib/os-release": bookworm})
	name, file, err := EnsureTarget(t.Context(), b, ImageOptions{Instance: "web"})
	if err != nil || name != "web" || file != filepath.Join(b.Home.Config, "targets", "web.yaml") {
		t.Fatalf("%s, %s, %v", name, file, err)
	}
	b = open(t)
	r, err := b.Targets.Get("web")
	if err != nil || r.OS != "debian" || r.Release != "12" || r.Arch != "amd64" || r.Board().Firmware != "bios" || r.SourceInstance() != "web" || r.Buildable() != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if name, file, err := EnsureTarget(t.Context(), b, ImageOptions{Instance: "web"}); name != "web" || file != "" || err != nil {
		t.Errorf("again: %s, %s, %v", name, file, err)
	}
	if name, _, err := EnsureTarget(t.Context(), b, ImageOptions{Instance: "web", Name: "other", Kernel: "debian-12-amd64", Format: "raw"}); name != "other" || err != nil {
		t.Errorf("a second target: %s, %v", name, err)
	}
	b = open(t)
	if r, err := b.Targets.Get("other"); err != nil || r.KernelRecipe().Name != "debian-12-amd64" || !r.HasKernel() || strings.Join(r.Export.Formats, " ") != "raw" {
		t.Errorf("with a kernel: %+v, %v", r.KernelRecipe().Name, err)
	}
	if lock, err := b.Targets.Lock(must(t, b, "other")); err != nil || lock.Kernel.SHA256 == "" {
		t.Errorf("the kernel's lock: %+v, %v", lock.Kernel, err)
	}
	if _, _, err := EnsureTarget(t.Context(), b, ImageOptions{Instance: "web", Sanitise: SanitiseChoice{Keep: []string{"logs"}}}); err == nil || cause.ClassOf(err) != cause.Input || !strings.Contains(err.Error(), "change its key sanitise in") {
		t.Errorf("another choice: %v", err)
	}
	kept, _, err := EnsureTarget(t.Context(), b, ImageOptions{Instance: "web", Name: "logs", Sanitise: SanitiseChoice{Keep: []string{"logs"}, Also: []string{"package-cache"}}})
	if err != nil {
		t.Fatal(err)
	}
	if c := must(t, open(t), kept).SanitiseChoice(); len(c.Keep) != 1 || len(c.Also) != 1 {
		t.Errorf("the recipe has %+v", c)
	}
	for want, ask := range map[string][3]string{
		"keeps the VM's own kernel: for that of debian-12-amd64": {"web", "web", "debian-12-amd64"},
		"installs the kernel of debian-12-amd64: for that of x":  {"other", "web", "x"},
		`there is a target "debian-12-amd64" already`:            {"debian-12-amd64", "web", ""},
		`there is no Lima instance "none"`:                       {"", "none", ""},
		`key "vm.kernel": target "debian-12-arm64" is of the strategy compose for arm64; accepted: one of the strategy compose for amd64`: {"third", "web", "debian-12-arm64"},
		`key "vm.kernel": there is no target "nosuch"; accepted: debian-12-amd64`:                                                         {"third", "web", "nosuch"},
		`key "vm.kernel": "third" is this target`:                                                                                         {"third", "web", "third"},
	} {
		if _, _, err := EnsureTarget(t.Context(), b, ImageOptions{Name: ask[0], Instance: ask[1], Kernel: ask[2]}); err == nil || !strings.Contains(err.Error(), want) || cause.ClassOf(err) != cause.Input {
			t.Errorf("%q: %v (%s), want %q", ask, err, cause.ClassOf(err), want)
		}
	}
}

func must(t *testing.T, b *backend.Backend, name string) (r target.Recipe) {
	t.Helper()
	r, err := b.Targets.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A system that cannot be read is an error with its cause, and no recipe is written.
func TestNewTargetRefuses(t *testing.T) {
	b := guestHome(t, "")
	stoppedVM(t, "bare", "vmType: qemu\narch: x86_64\n", map[string]string{"etc/motd": "hi"})
	stoppedVM(t, "odd", "vmType: qemu\narch: x86_64\n", map[string]string{"usr/lib/os-release": "NAME=x\n"})
	stoppedVM(t, "plan9", "vmType: qemu\narch: x86_64\n", map[string]string{"usr/lib/os-release": "ID=plan9\nVERSION_ID=4\n"})
	for name, want := range map[string]string{"bare": "vm.unread", "odd": "vm.unread", "plan9": "config.invalid"} {
		if file, err := NewTarget(t.Context(), b, ImageOptions{Instance: name, Name: name}); cause.IDOf(err) != want {
			t.Errorf("%s: %s, %v (%s)", name, file, err, cause.IDOf(err))
		}
		if TargetOf(open(t), name) != "" {
			t.Errorf("%s: a recipe was written", name)
		}
	}
}

// A plan says how the disk would be copied, and what room that needs; a VM whose disk
// cannot be copied is an error.
func TestPlanImage(t *testing.T) {
	b := guestHome(t, "")
	stoppedVM(t, "web", "vmType: qemu\narch: x86_64\n", map[string]string{"usr/lib/os-release": bookworm})
	p, err := PlanImage(t.Context(), b, "web")
	if err != nil || p.Target != "" || p.Method != "direct" || p.Room == 0 || p.Free == 0 || len(p.Rules) == 0 || p.Found != nil {
		t.Errorf("%+v, %v", p, err)
	}
	if err := os.Remove(filepath.Join(os.Getenv("LIMA_HOME"), "web", "disk")); err != nil {
		t.Fatal(err)
	}
	if _, err := PlanImage(t.Context(), b, "web"); cause.IDOf(err) != "vm.no-disk" {
		t.Errorf("without a disk: %v", err)
	}
	if _, err := PlanImage(t.Context(), b, "none"); err == nil {
		t.Error("no such VM")
	}
}

// A running VM under another driver than QEMU must be stopped for the copy, which is no
// error but a question.
func TestPlanImageStops(t *testing.T) {
	b := guestHome(t, "")
	guesttest.RunningVM(t, "vz", "exit 1")
	p, err := PlanImage(t.Context(), b, "one")
	if err != nil || !p.Stops || p.Method != lima.CopyStopped || p.Found != nil {
		t.Errorf("%+v, %v", p, err)
	}
}
