package leak

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/disk"
	"ingot/backend/disk/ext4/ext4test"
	"ingot/backend/disk/files"
	"ingot/backend/evidence"
)

func pack(t testing.TB) *Pack {
	t.Helper()
	p, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Each rule fits its examples and not its counter-examples.
func TestRules(t *testing.T) {
	p := pack(t)
	for _, r := range p.Paths {
		if len(r.Like) == 0 || len(r.Unlike) == 0 {
			t.Errorf("%s has no example or no counter-example", r.ID)
		}
		for _, f := range r.Like {
			if !r.fits(f.Path, []byte(f.Text)) {
				t.Errorf("%s does not fit %+v", r.ID, f)
			}
		}
		for _, f := range r.Unlike {
			if r.fits(f.Path, []byte(f.Text)) {
				t.Errorf("%s fits %+v", r.ID, f)
			}
		}
	}
	for _, r := range p.Bytes {
		if len(r.Like) == 0 || len(r.Unlike) == 0 {
			t.Errorf("%s has no example or no counter-example", r.ID)
		}
		for _, text := range r.Like {
			if !r.contains([]byte(text)) {
				t.Errorf("%s does not fit %q", r.ID, text)
			}
		}
		for _, text := range r.Unlike {
			if r.contains([]byte(text)) {
				t.Errorf("%s fits %q", r.ID, text)
			}
		}
	}
}

// key is the like of a private key, and no key.
func key(seed string) string {
	return "-----BEGIN OPENSSH PRIVATE KEY-----\n" + strings.Repeat(strings.Repeat(seed, 70)[:70]+"\n", 5) + "-----END OPENSSH PRIVATE KEY-----\n"
}

// rootfs makes an ext4 image of a tree.
func rootfs(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	img := filepath.Join(t.TempDir(), "root.img")
	ext4test.Tool(t, "", "mke2fs", "-q", "-t", "ext4", "-J", "size=4", "-d", dir, img, "48M")
	return img
}

// machine makes a disk with an MBR and the file system in its second
// partition; the first is noise.
func machine(t testing.TB, root string) string {
	t.Helper()
	data, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	const first, second = 1 << 20, 3 << 20
	b := make([]byte, second, second+len(data))
	rand.New(rand.NewSource(1)).Read(b[first:second])
	copy(b[first+82:], "FAT32")
	b[510], b[511] = 0x55, 0xaa
	entry := func(i int, kind byte, start, length int) {
		e := b[446+16*i:]
		e[4] = kind
		binary.LittleEndian.PutUint32(e[8:], uint32(start/512))
		binary.LittleEndian.PutUint32(e[12:], uint32(length/512))
	}
	entry(0, 0xef, first, second-first)
	entry(1, 0x83, second, len(data))
	p := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(p, append(b, data...), 0o600); err != nil {
		t.Fatal(err)
	}
	ext4test.Tool(t, "", "fallocate", "-d", p)
	return p
}

func scanFile(t testing.TB, file string) *evidence.Leaks {
	t.Helper()
	src, err := disk.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	out, err := pack(t).Scan(context.Background(), src, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range out.Findings {
		t.Logf("%s %s %s", f.Severity, f.Rule, f.Where())
	}
	return out
}

func found(l *evidence.Leaks, rule, where string) bool {
	for _, f := range l.Findings {
		if f.Rule == rule && strings.HasPrefix(f.Where(), where) {
			return true
		}
	}
	return false
}

var clean = map[string]string{
	"etc/passwd": "root:x:0:0::/root:/bin/sh\n", "etc/shadow": "root:*:19700:0:99999:7:::\n", "etc/machine-id": "", "etc/hosts": "127.0.0.1 localhost\n",
	"usr/bin/ssh": "-----BEGIN OPENSSH PRIVATE KEY-----\n\x00\x01", "root/.bashrc": "PS1=x\n", "etc/ssh/ssh_host_ed25519_key.pub": "ssh-ed25519 AAAA x\n",
	"var/lib/dpkg/info/python3-test.list": "/.\n/usr\n/usr/lib/python3/test/key.pem\n", "usr/lib/python3/test/key.pem": key("package"),
}

func with(files map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range []map[string]string{clean, files} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// A disk without secrets blocks nothing; a package's own test key is a note.
func TestClean(t *testing.T) {
	l := scanFile(t, machine(t, rootfs(t, clean)))
	if b := l.Blocking(); len(b) > 0 {
		t.Errorf("blocking: %+v", b)
	}
	if !found(l, "leak.private-key", "/usr/lib/python3/test/key.pem") {
		t.Error("the package's key is not told")
	}
	if len(l.Areas) != 2 || l.Areas[1].FileSystem != "ext4" || l.Areas[1].Files < 8 || l.Areas[0].Note == "" || l.Bytes < 1<<20 {
		t.Errorf("areas: %+v, %d bytes", l.Areas, l.Bytes)
	}
}

// A key is found in a live file, in a deleted one, in the journal, behind a
// file's end, in no file system at all – in the exported bytes.
func TestPlanted(t *testing.T) {
	root := rootfs(t, with(map[string]string{
		"etc/ssh/ssh_host_ed25519_key": key("host"), "srv/app/deploy.pem": key("live"), "srv/app/gone.pem": key("gone"), "root/.ssh/authorized_keys": "ssh-ed25519 AAAA a@b\n",
		"usr/local/lib/key.pem": key("local"), "usr/lib/python3/test/other.pem": key("other"), "opt/\x1b[31mred/key.pem": key("red"),
		"etc/shadow": "root:$y$j9T$aaaaaaaaaaaaaaaaaaaaaa$bbbbbbbbbbbbbbbbbbbbbbbbbbb:19700:0:99999:7:::\n", "home/a/.config/x": "token: ghp_" + strings.Repeat("a", 36) + "\n",
	}))
	jot := filepath.Join(t.TempDir(), "jot")
	if err := os.WriteFile(jot, append([]byte(key("journal")), make([]byte, 4096-len(key("journal")))...), 0o600); err != nil {
		t.Fatal(err)
	}
	ext4test.Tool(t, "", "debugfs", "-w", "-R", "rm /srv/app/gone.pem", root)
	ext4test.Tool(t, "jo\njw -b 9000 "+jot+"\njc\n", "debugfs", "-w", "-f", "-", root)
	raw := machine(t, root)
	f, err := os.OpenFile(raw, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(key("boot")), 2<<20-100); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	qcow := filepath.Join(dir, "disk.qcow2")
	src, err := disk.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := (disk.Qcow2{Path: qcow}).Take(context.Background(), src, nil); err != nil {
		t.Fatal(err)
	}
	l := scanFile(t, qcow)
	for _, w := range [][2]string{
		{"leak.ssh-host-key", "/etc/ssh/ssh_host_ed25519_key"}, {"leak.private-key", "/srv/app/deploy.pem"}, {"leak.private-key", "a deleted file /srv/app/gone.pem"},
		{"leak.private-key", "the journal"}, {"leak.authorized-keys", "/root/.ssh/authorized_keys"}, {"leak.private-key", "/usr/local/lib/key.pem"},
		{"leak.private-key", "/usr/lib/python3/test/other.pem"}, {"leak.private-key", `/opt/\x1b[31mred/key.pem`}, {"leak.password-hash", "/etc/shadow"},
		{"leak.token", "/home/a/.config/x"}, {"leak.private-key", "byte 20970"},
	} {
		if !found(l, w[0], w[1]) {
			t.Errorf("not found: %v", w)
		}
	}
	for _, f := range l.Blocking() {
		if f.Path == "/usr/lib/python3/test/key.pem" {
			t.Error("the package's key blocks")
		}
	}
	if strings.Contains(fmt.Sprintf("%+v", l), strings.Repeat("live", 5)) {
		t.Error("a finding holds what it found")
	}
}

// A file system that is not read here may hold anything: that blocks, and so does
// one of an unknown kind. FAT, swap, an ISO and zeros do not: their bytes are searched.
func TestUnread(t *testing.T) {
	for magic, c := range map[string]struct {
		at   int
		name string // "" does not block
	}{"_BHRfS_M": {0x10040, "btrfs"}, "XFSB": {0, "xfs"}, "LUKS\xba\xbe": {0, "LUKS, encrypted"}, "LVM2": {536, "LVM"}, "NXSB": {32, "APFS"}, "NTFS    ": {3, "NTFS"}, "hsqs": {0, "squashfs"},
		"\x0c\xb1\xba\x00": {0x20000 + 5<<10, "ZFS"}, "\x19\x01\x54\x19": {65536 + 1372, "UFS"}, "\x54\x19\x01\x00": {8192 + 1372, "UFS"}, "\x19\x54\x01\x19": {262144 + 1372, "UFS"},
		"an unknown kind": {77777, "unknown"}, "FAT32": {82, ""}, "SWAPSPACE2": {4086, ""}, "CD001": {0x8001, ""}, "": {0, ""}} {
		b := make([]byte, chunkSize)
		copy(b[c.at:], magic)
		unread(t, b, c.name)
	}
}

// Images as FreeBSD, NetBSD and OpenBSD have them: FFS by makefs(8), as the whole
// disk, and in a slice behind a disklabel whose offsets count from the disk or
// from the slice.
func TestUnreadUFS(t *testing.T) {
	if _, err := exec.LookPath("makefs"); err != nil {
		t.Skip("makefs is not installed; `make test` installs it")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tree"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1", "2"} {
		img := filepath.Join(dir, "ufs"+version)
		if out, err := exec.Command("makefs", "-t", "ffs", "-o", "version="+version, "-s", "4m", img, filepath.Join(dir, "tree")).CombinedOutput(); err != nil {
			t.Fatalf("makefs: %v: %s", err, out)
		}
		fs, err := os.ReadFile(img)
		if err != nil {
			t.Fatal(err)
		}
		unread(t, fs, "UFS")
		for _, first := range []uint32{16, 2048 + 16} { // of the labelled partition: from the slice, from the disk
			slice := make([]byte, 16*files.Sector+len(fs))
			copy(slice[16*files.Sector:], fs)
			le := binary.LittleEndian
			for _, at := range []int{0, 132} {
				le.PutUint32(slice[files.Sector+at:], 0x82564557)
			}
			le.PutUint16(slice[files.Sector+138:], 1)
			le.PutUint32(slice[files.Sector+148:], uint32(len(fs)/files.Sector))
			le.PutUint32(slice[files.Sector+152:], first)
			whole := make([]byte, 2048*files.Sector, 2048*files.Sector+len(slice))
			e := whole[446:]
			e[4] = 0xa5
			le.PutUint32(e[8:], 2048)
			le.PutUint32(e[12:], uint32(len(slice)/files.Sector))
			whole[510], whole[511] = 0x55, 0xaa
			unread(t, append(whole, slice...), "UFS")
		}
	}
}

// unread scans a disk that blocks for a file system of a name, and for nothing
// else; "" does not block.
func unread(t *testing.T, data []byte, name string) {
	t.Helper()
	p := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(p, data, 0o600); err != nil {
		t.Fatal(err)
	}
	l := scanFile(t, p)
	if got := found(l, "leak.unread", "file system "+name); got != (name != "") || len(l.Blocking()) != len(l.Findings) || len(l.Findings) > 1 || l.OnlyUnread() != (name != "") {
		t.Errorf("%q: %+v", name, l.Findings)
	}
}

// The partition of GRUB's code on a GPT disk has no file system.
func TestBootCode(t *testing.T) {
	for name, c := range map[string]struct {
		kind   string
		blocks bool
	}{"BIOS boot": {"Hah!IdontNeedEFI", false}, "another type": {"0123456789abcdef", true}} {
		b := make([]byte, chunkSize)
		le := binary.LittleEndian
		copy(b[files.Sector:], "EFI PART")
		le.PutUint64(b[files.Sector+72:], 2)
		le.PutUint32(b[files.Sector+80:], 1)
		le.PutUint32(b[files.Sector+84:], 128)
		copy(b[2*files.Sector:], c.kind)
		le.PutUint64(b[2*files.Sector+32:], 100)
		le.PutUint64(b[2*files.Sector+40:], 199)
		copy(b[100*files.Sector:], "code")
		p := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if l := scanFile(t, p); (len(l.Blocking()) > 0) != c.blocks {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

// A key cut by the end of a chunk, and one at the very end of the disk.
func TestEdges(t *testing.T) {
	b := make([]byte, 2*chunkSize)
	copy(b[82:], "FAT32") // what is known to be searched by its bytes
	copy(b[chunkSize-30:], key("edge"))
	copy(b[len(b)-len(key("end")):], key("end"))
	p := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	l := scanFile(t, p)
	if len(l.Findings) != 2 || l.Findings[0].In != "bytes" {
		t.Errorf("%+v", l.Findings)
	}
	b[chunkSize+4] ^= 1 // and the control: bent, it is none
	copy(b[len(b)-len(key("end")):], bytes.Repeat([]byte("x"), 100))
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if l := scanFile(t, p); len(l.Findings) != 0 {
		t.Errorf("%+v", l.Findings)
	}
}

func TestGPT(t *testing.T) {
	sfdisk, err := exec.LookPath("/usr/sbin/sfdisk")
	if err != nil {
		t.Skip("sfdisk is not installed: apt-get install fdisk")
	}
	root := rootfs(t, with(map[string]string{"root/k": key("k")}))
	p := filepath.Join(t.TempDir(), "gpt.raw")
	if err := os.WriteFile(p, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(p, 64<<20); err != nil {
		t.Fatal(err)
	}
	ext4test.Tool(t, "label: gpt\nstart=2048,size=2048\nstart=8192,size=98304\n", sfdisk, "-q", p)
	ext4test.Tool(t, "", "dd", "if="+root, "of="+p, "bs=1M", "seek=4", "conv=notrunc,sparse", "status=none")
	l := scanFile(t, p)
	if len(l.Areas) != 2 || !found(l, "leak.private-key", "/root/k") {
		t.Errorf("%+v", l)
	}
}

func TestCancelled(t *testing.T) {
	src, err := disk.Open(machine(t, rootfs(t, clean)))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := pack(t).Scan(ctx, src, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want cancelled", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, text := range []string{"version: 1\nbytes: [{id: a, severity: blocks, title: t, fix: f, needles: [abc], pattern: x}]", "paths: [{id: a, severity: no, title: t, fix: f, path: x}]", "paths: [{id: a, severity: note, title: t, fix: f, path: '('}]", "other: 1"} {
		if _, err := Load(mapFS{text}, "r.yaml"); err == nil {
			t.Errorf("loaded %s", text)
		}
	}
}

type mapFS struct{ text string }

func (m mapFS) Open(string) (fs.File, error) { return nil, fs.ErrInvalid }

func (m mapFS) ReadFile(string) ([]byte, error) { return []byte(m.text), nil }
