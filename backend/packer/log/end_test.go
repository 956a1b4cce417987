package log

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Lines of Packer 1.6.6 for a build that succeeded.
const artifactLines = `2026/11/30 23:38:25 machine readable: qemu.vm,artifact-count []string{"1"}
2026/11/30 23:38:25 machine readable: qemu.vm,artifact []string{"0", "builder-id", "transcend.qemu"}
2026/11/30 23:38:25 machine readable: qemu.vm,artifact []string{"0", "id", "VM"}
2026/11/30 23:38:25 machine readable: qemu.vm,artifact []string{"0", "files-count", "2"}
2026/11/30 23:38:25 machine readable: qemu.vm,artifact []string{"0", "file", "0", "output-vm/packer-vm"}
2026/11/30 23:38:25 machine readable: qemu.vm,artifact []string{"0", "file", "1", "a, \"b\""}
2026/11/30 23:38:25 machine readable: qemu.vm,artifact []string{"0", "end"}
2026/11/30 23:38:25 machine readable: nightly.qemu.b,artifact []string{"0", "builder-id", "transcend.qemu"}
`

func TestArtifacts(t *testing.T) {
	got := logOf(t, artifactLines).Artifacts()
	if len(got) != 2 || got[0].Build != "qemu.vm" || !slices.Equal(got[0].Files, []string{"output-vm/packer-vm", `a, "b"`}) || got[1].Build != "nightly.qemu.b" || got[1].Files != nil {
		t.Errorf("%+v", got)
	}
	// what a guest prints, and what cannot be read, is none
	for _, line := range []string{
		"2026/11/30 23:38:25 ui:     qemu.vm: 2026/11/30 23:38:25 machine readable: qemu.vm,artifact []string{\"0\", \"builder-id\", \"x\"}\n",
		"2026/11/30 23:38:25 machine readable: qemu.vm,artifact []string{\"0\", \"file\", \"0\", \"x\"}\n", // of no artifact
		"2026/11/30 23:38:25 machine readable: qemu.vm,artifact []string{\"0\", \"builder-id\n",
		"2026/11/30 23:38:25 machine readable: qemu.vm,artifact []string{}\n",
	} {
		if got := logOf(t, line).Artifacts(); len(got) != 0 {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

func TestErrorsOfBuilds(t *testing.T) {
	l, err := ReadFile("../testdata/logs/nofw.log")
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Errors(); !slices.Equal(got, []string{"qemu.vm: Timeout waiting for SSH."}) {
		t.Errorf("%q", got)
	}
	if got := logOf(t, artifactLines).Errors(); got != nil {
		t.Errorf("of a success: %q", got)
	}
}

// Ends of Packer that are not those of QEMU's start. Texts: see endings.
func TestOtherEnds(t *testing.T) {
	for line, want := range map[string]string{
		"* Output directory 'output-vm' already exists. It must not exist.\n":                                                                           "packer.output-exists",
		"2026/11/30 1:00:00 ui error: x\n2026/11/30 01:00:00 ui: Build 'qemu.vm' errored after 2 seconds: Output directory exists: ./golden/debian12\n": "packer.output-exists",
		"Did you run packer init for this project ?\n":                                                                                                  "packer.plugin-missing",
		"The source qemu.vm is unknown by Packer, and is likely part of a plugin that is not installed.\n":                                              "packer.plugin-missing",
		"Error: Unset variable \"iso\"\n":                                                                                                               "packer.variable-unset",
		"2026/11/30 23:48:16 packer-builder-qemu plugin: stderr: qemu-img: error while writing at byte 0: No space left on device\n":                    "packer.no-space",
		"==> qemu.vm: Error creating hard drive: QemuImg error: qemu-img: error while writing at byte 0: No space left on device\n":                     "packer.no-space",
		"2026/11/30 23:48:16 ui:     qemu.vm: qemu-img: error while writing at byte 0: No space left on device\n":                                       "", // in the guest
		"2026/11/30 23:48:16 ui:     qemu.vm: tar: x: Cannot write: No space left on device\n":                                                          "",
		"2026/11/30 23:48:16 ui: ==> qemu.vm: Deleting output directory...\n":                                                                           "",
		"2026/11/30 23:48:16 ui:     qemu.vm: Output directory exists: x\n":                                                                             "",
		"2026/11/30 23:48:16 packer-builder-qemu plugin: Qemu stderr: qemu-system-x86_64: warning: TCG doesn't support requested feature: x2apic\n":     "",
	} {
		got := ""
		if ids := idsOf(logOf(t, line).Causes()); len(ids) > 0 {
			got = ids[0]
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestFirstError(t *testing.T) {
	for text, want := range map[string]string{
		"Warning: a\n\nError: 1 error(s) occurred:\n\n* it is broken\n\n  on x line 1:\n": "Error: 1 error(s) occurred: it is broken",
		"\x1b[1;31mError: Unset variable \"x\"\x1b[0m\n\nmore\n":                          `Error: Unset variable "x"`,
		"==> a\nBuild 'qemu.vm' errored after 1 second: no\n":                             "Build 'qemu.vm' errored after 1 second: no",
		"2 error(s) occurred:": "2 error(s) occurred:",
		"==> all is well\n":    "",
		"":                     "",
	} {
		file := filepath.Join(t.TempDir(), "output.log")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := FirstError(file); got != want || err != nil {
			t.Errorf("%q: %q %v, want %q", text, got, err, want)
		}
	}
	if _, err := FirstError(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there")
	}
}
