package linux

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend/family"
	"ingot/backend/target"
)

// Every difference in the test data is reported with its file and field.
func TestCompare(t *testing.T) {
	var r target.Recipe
	r.Disk.Size, r.Disk.ESP = 64<<20, 8<<20
	disk := strings.Repeat("d", 64<<20)
	spoil := func(at int) string { return disk[:at] + "X" + disk[at+1:] }
	row := func(path, mode, size, content string) string {
		return strings.Join([]string{path, mode, "0", "0", size, "1", "", content}, "\t") + "\n"
	}
	digest := strings.Repeat("1", 64)
	cases := []struct{ name, file, a, b, want string }{
		{"same", "disk.raw", disk, disk, ""},
		{"table", "disk.raw", disk, spoil(600), "disk.raw: partition table, byte 600"},
		{"esp", "disk.raw", disk, spoil(1<<20 + 7), "disk.raw: ESP, byte 7"},
		{"root", "disk.raw", disk, spoil(9<<20 + 3), "disk.raw: root file system, byte 3"},
		{"backup", "disk.raw", disk, spoil(64<<20 - 1), "disk.raw: backup partition table"},
		{"cut", "disk.raw", disk, disk[:9<<20], "disk.raw: root file system, byte 0"},
		{"mode", family.TreeFile, row("etc/motd", "-rw-r--r--", "3", digest), row("etc/motd", "-rw-rw-rw-", "3", digest), "tree.txt: etc/motd: mode -rw-r--r--, then -rw-rw-rw-"},
		{"content", family.TreeFile, row("a", "m", "3", digest), row("a", "m", "4", strings.Repeat("2", 64)), "tree.txt: a: size 3, then 4; content 111111111111, then 222222222222"},
		{"new file", family.TreeFile, row("a", "m", "3", digest), row("a", "m", "3", digest) + row("b", "m", "1", digest), "tree.txt: b: is in only one of the two"},
		{"lost file", family.TreeFile, row("a", "m", "3", digest) + row("b", "m", "3", digest), row("b", "m", "3", digest), "tree.txt: a: is in only one of the two"},
		{"config", "config", "CONFIG_A=y\nCONFIG_B=y\n", "CONFIG_A=y\nCONFIG_B=m\n", `config: "CONFIG_B=y", then "CONFIG_B=m"`},
		{"kernel", "vmlinuz", "abc", "abd", "vmlinuz: byte 2"},
		{"module", "modules.tar", archive(t, "m/a.ko", "x", 1), archive(t, "m/a.ko", "y", 1), "modules.tar: m/a.ko: content 2d711642b726, then a1fce4363854"},
		{"time", "modules.tar", archive(t, "m/a.ko", "x", 1), archive(t, "m/a.ko", "x", 2), "modules.tar: m/a.ko: time 1970-01-01T00:00:01Z, then 1970-01-01T00:00:02Z"},
		{"no tar", "modules.tar", "abc", "abd", "error"},
	}
	for _, c := range cases {
		a, b := filepath.Join(t.TempDir(), c.file), filepath.Join(t.TempDir(), c.file)
		for p, text := range map[string]string{a: c.a, b: c.b} {
			if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := System{}.Compare(r, a, b)
		if c.want == "error" {
			if err == nil {
				t.Errorf("%s: %q", c.name, got)
			}
			continue
		}
		if err != nil || got == "" != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	if _, err := (System{}).Compare(r, "/no/such", "/no/such"); err == nil {
		t.Error("no files, no difference")
	}
}

func archive(t *testing.T, name, content string, at int64) string {
	t.Helper()
	var b strings.Builder
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: time.Unix(at, 0)}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
