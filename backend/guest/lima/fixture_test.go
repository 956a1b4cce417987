package lima

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// Files of real limactl binaries; testdata/README.md describes how they were made.
func TestFixtures(t *testing.T) {
	type want struct {
		disk, base, addr string
		protected        bool
	}
	for store, instances := range map[string]map[string]want{
		"v1.2.1": {
			"created1": {"diffdisk", "basedisk", "", false},
			"started1": {"diffdisk", "basedisk", "127.0.0.1:44071", false},
		},
		"v1.2.1-then-v2.2.0": { // it linked disk → diffdisk
			"created1": {"diffdisk", "basedisk", "", false},
			"started1": {"diffdisk", "basedisk", "127.0.0.1:44573", false},
		},
		"v2.2.0": {
			"created2": {"disk", "", "", false},
			"started2": {"disk", "", "127.0.0.1:40931", false},
			"clone2":   {"disk", "", "127.0.0.1:40931", true}, // it has its original's ssh.config until it is started
			"noimage2": {"", "", "", false},
		},
	} {
		dir, err := filepath.Abs(filepath.Join("testdata", store))
		if err != nil {
			t.Fatal(err)
		}
		list, err := Store{dir}.List(context.Background())
		if err != nil || len(list) != len(instances) {
			t.Fatalf("%s: %d instances, %v", store, len(list), err)
		}
		for _, i := range list {
			w := instances[i.Name]
			full := func(name string) string {
				if name == "" {
					return ""
				}
				return filepath.Join(dir, i.Name, name)
			}
			version := store[1:6]
			if i.Status != Stopped || i.Problem != "" || i.Disk != full(w.disk) || i.Base != full(w.base) || i.SSHAddr != w.addr || i.Version != version || i.Protected != w.protected {
				t.Errorf("%s: %+v; want %+v", store, i, w)
			}
			if i.Name != "noimage2" && (i.Arch != "amd64" || i.VMType != "qemu" || i.CPUs != 2 || i.MemBytes != 1<<30 || i.DiskBytes != 4<<30) {
				t.Errorf("%s: %+v", store, i)
			}
			if strings.HasPrefix(i.Name, "started") && i.User != "ingot-ci" {
				t.Errorf("%s: user %q", store, i.User)
			}
		}
	}
}

// A vz instance, with file names from lima-vm/lima@v2.2.0 pkg/driver/vz; it was not
// made on a Mac. Its disk is raw, and found by the same rule.
func TestVZ(t *testing.T) {
	s := store(t, map[string]string{"vm/lima.yaml": "arch: aarch64\ncpus: 4\nmemory: 4GiB\ndisk: 100GiB\n", "vm/disk": "\x00\x00", "vm/vz-identifier": "x", "vm/vz-efi": "x",
		"legacy/lima.yaml": "vmType: vz\n", "legacy/diffdisk": "raw", "legacy/basedisk": "qcow2"})
	if i, err := s.Instance("vm"); err != nil || i.VMType != "vz" || i.Status != Stopped || i.Disk != filepath.Join(s.Dir, "vm", "disk") || i.Base != "" {
		t.Errorf("%+v, %v", i, err)
	}
	if i, err := s.Instance("legacy"); err != nil || i.VMType != "vz" || i.Disk != filepath.Join(s.Dir, "legacy", "diffdisk") || i.Base != filepath.Join(s.Dir, "legacy", "basedisk") {
		t.Errorf("%+v, %v", i, err)
	}
}
