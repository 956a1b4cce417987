package packer

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mendText applies the fixes for a Mac and returns the new text and what is left.
func mendText(t *testing.T, text string) (string, *Mended) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "t.pkr.hcl")
	write(t, file, text)
	m, err := Mend(context.Background(), Options{Path: file, For: mac})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Changes) == 0 {
		return text, m
	}
	return string(m.Changes[0].After), m
}

// After the fixes nothing is found any more, in each case that can be fixed.
func TestMendCases(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.pkr.hcl")
	if err != nil || len(files) < 9 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text, m := mendText(t, string(b))
		if len(m.After.Findings) > 0 {
			t.Errorf("%s: left: %v", file, idsOf(m.After.Findings))
		}
		if good := strings.Contains(file, "good"); good != (text == string(b)) {
			t.Errorf("%s: changed: %v", file, text != string(b))
		}
		for _, line := range strings.Split(string(b), "\n") {
			if strings.HasPrefix(line, "#") && !strings.Contains(text, line) {
				t.Errorf("%s: the comment %q is gone", file, line)
			}
		}
	}
}

// Comments, order and layout stay: only the lines that a fix needs are changed.
func TestMendKeepsLayout(t *testing.T) {
	const before = `# a template
source "qemu" "vm" {
    qemu_binary  = "qemu-system-aarch64" // the guest is arm64
    machine_type="virt,highmem=off"      # as an old page has it
    memory       = 4096                  # MiB
    headless     = true
    efi_firmware_code = "/opt/homebrew/share/qemu/edk2-aarch64-code.fd"
    efi_firmware_vars = "/opt/homebrew/share/qemu/edk2-arm-vars.fd"
    qemuargs = [
        # keys need a controller
        ["-device", "usb-kbd"],   // typed into
        ["-device", "qemu-xhci"], /* the controller */

        ["-boot", "n"] # no comma here
    ]
}
build { sources = ["qemu.vm"] }
`
	const want = `# a template
source "qemu" "vm" {
    qemu_binary  = "qemu-system-aarch64" // the guest is arm64
    machine_type="virt,highmem=off"      # as an old page has it
    memory       = 3072                  # MiB
    headless     = true
    efi_firmware_code = "/opt/homebrew/share/qemu/edk2-aarch64-code.fd"
    efi_firmware_vars = "/opt/homebrew/share/qemu/edk2-arm-vars.fd"
    qemuargs = [
        # keys need a controller
        ["-device", "qemu-xhci"],   // typed into
        ["-device", "usb-kbd"], /* the controller */

        ["-boot", "n"], # no comma here
        ["-cpu", "cortex-a57"]
    ]
}
build { sources = ["qemu.vm"] }
`
	got, m := mendText(t, before)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s\n%s", got, want, m.Changes[0].Diff)
	}
	if ids := idsOf(m.Fixed); !slices.Equal(ids, []string{"packer.no-cpu", "qemu.device-bus-missing", "qemu.memory-layout"}) {
		t.Errorf("fixed: %v", ids)
	}
}

// A value that is made of a variable is not overwritten, and no fix is made of a list that
// a function makes.
func TestMendLeavesVariables(t *testing.T) {
	text := "variable \"m\" { default = \"pc\" }\n" + with(changes{"machine_type": "var.m", "cpu_model": "", "qemuargs": `concat([["-boot", "n"]], [])`})
	got, m := mendText(t, text)
	if got != text || len(m.After.Findings) != 1 || m.After.Findings[0].Fixable {
		t.Errorf("%+v", m.After.Findings)
	}
}

// A block on one line cannot take a second argument.
func TestMendOneLine(t *testing.T) {
	text := "source \"qemu\" \"vm\" { qemu_binary = \"qemu-system-aarch64\" }\nbuild { sources = [\"qemu.vm\"] }\n"
	if got, m := mendText(t, text); got != text || len(m.After.Findings) == 0 {
		t.Errorf("%s %+v", got, m.After.Findings)
	}
}

// Write keeps the file's mode and its link, and leaves a file alone that changed meanwhile.
func TestMendWrite(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "real"), filepath.Join(dir, "t.pkr.hcl")
	write(t, file, with(changes{"memory": "4096", "machine_type": `"virt,highmem=off"`}))
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	opt := Options{Path: link, For: mac}
	m, err := Mend(context.Background(), opt)
	if err != nil || len(m.Changes) != 1 || !strings.Contains(m.Changes[0].Diff, "+  memory = 3072") {
		t.Fatalf("%v %+v", err, m)
	}
	if b, _ := os.ReadFile(file); !strings.Contains(string(b), "4096") {
		t.Fatal("Mend wrote the file")
	}
	if err := m.Write(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(file)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	d, err := Diagnose(context.Background(), opt)
	if err != nil || len(d.Findings) > 0 {
		t.Errorf("%v %+v", err, d.Findings)
	}
	if err := m.Write(); err == nil || !strings.Contains(err.Error(), "meantime") {
		t.Errorf("a changed file was written: %v", err)
	}
}

func FuzzDiagnose(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.pkr.hcl")
	if err != nil || len(files) < 10 {
		f.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add(source(`qemuargs = [["-m"], ["-drive", "file="], ["-device", ","], ["-machine", "="], ["-smp", "cpus="], [""], [null]]`))
	p, err := choosePlatform(context.Background(), Options{For: mac})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 8<<10 {
			return
		}
		contents := map[string][]byte{"t.pkr.hcl": []byte(text)}
		d, err := diagnose(context.Background(), Options{Path: "t.pkr.hcl"}, p, nil, contents)
		if err != nil {
			return
		}
		for _, found := range d.Findings {
			if after, ok := apply(found, d, contents["t.pkr.hcl"]); found.Fixable && ok && len(after) == 0 {
				t.Errorf("%s left nothing", found.ID)
			}
		}
	})
}
