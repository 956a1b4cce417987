package backend

import (
	"testing"
)

func TestArchOf(t *testing.T) {
	for file, want := range map[string]string{"/x/debian-amd64.qcow2": "amd64", "fedora.x86_64.raw": "amd64", "amd64/disk.raw": "arm64", "disk": "arm64"} {
		if got := ArchOf(file, ""); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
	if ArchOf("debian-amd64.qcow2", "arm64") != "arm64" {
		t.Error("what was said does not count")
	}
}
