package packer

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ingot/backend/packer/command"
)

const (
	started = "2026/11/28 17:00:00 packer-plugin-qemu_v1.1.4 plugin: Started Qemu. Pid: 4242\n"
	sshUI   = "2026/11/28 17:20:03 ui error: ==> qemu.vm: Timeout waiting for SSH.\n"
)

// The command line of the log replaces the predicted one: what the template leaves open
// is then known.
func TestLogIsTheTruth(t *testing.T) {
	dir := t.TempDir()
	file, log := filepath.Join(dir, "t.pkr.hcl"), filepath.Join(dir, "packer.log")
	text := "variable \"cpu\" {}\n" + with(changes{"cpu_model": "var.cpu", "accelerator": `"tcg"`})
	line := `2026/11/28 17:00:00 packer-plugin-qemu_v1.1.4 plugin: Executing /opt/homebrew/bin/qemu-system-aarch64: []string{"-cpu", "host", "-machine", "type=virt,accel=tcg", "-name", "packer-vm", "-drive", "file=/opt/homebrew/share/qemu/edk2-aarch64-code.fd,if=pflash,unit=0,format=raw,readonly=on"}` + "\n"
	write(t, file, text)
	write(t, log, line+started+sshUI)
	d, err := Diagnose(context.Background(), Options{Path: file, For: mac})
	if err != nil || len(d.Findings) > 0 {
		t.Fatalf("without the log: %v %+v", err, d.Findings)
	}
	d, err = Diagnose(context.Background(), Options{Path: file, For: mac, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if got := idsOf(d.Findings); !slices.Equal(got, []string{"qemu.cpu-unknown"}) || !d.Machines[0].Logged {
		t.Fatalf("%v %+v", got, d.Machines)
	}
	if at := strings.Split(text, "\n")[d.Findings[0].Line-1]; !strings.Contains(at, "cpu_model") {
		t.Errorf("the finding is at %q", at)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What the template shows completes what the log shows.
func TestLogsOfPacker(t *testing.T) {
	// QEMU lived, and only the command line says why no login came
	for name, want := range map[string]string{"nocpu": "packer.no-cpu", "nofw": "packer.no-firmware"} {
		d, err := Diagnose(context.Background(), Options{Path: "testdata/logs/" + name + ".pkr.hcl", Log: "testdata/logs/" + name + ".log", For: "linux/amd64"})
		if err != nil {
			t.Fatal(err)
		}
		if got := idsOf(d.Findings); !slices.Equal(got, []string{want}) || d.Builder != command.InTree.String() {
			t.Errorf("%s: %v by %s", name, got, d.Builder)
		}
	}
	// a plain output has no message of QEMU's: the template shows the cause
	d, err := Diagnose(context.Background(), Options{Path: "testdata/logs/cocoa.pkr.hcl", Log: "testdata/logs/cocoa-plain.log", For: "linux/amd64"})
	if err != nil {
		t.Fatal(err)
	}
	if got := idsOf(d.Findings); !slices.Equal(got, []string{"qemu.display-unsupported", "qemu.id-duplicate"}) || !strings.Contains(d.Summary, "without PACKER_LOG=1") {
		t.Errorf("%v %s", got, d.Summary)
	}
}
