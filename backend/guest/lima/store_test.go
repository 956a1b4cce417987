package lima

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ingot/backend/home"
)

// store writes a store of files: path → content. A content that begins with "-> " is a
// symbolic link. The folder's path is short, since it holds sockets.
func store(t *testing.T, files map[string]string) Store {
	t.Helper()
	root, err := os.MkdirTemp("/var/tmp", "lima-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if to, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(to, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return Store{root}
}

const sized = "vmType: qemu\nos: Linux\narch: x86_64\ncpus: 2\nmemory: 1GiB\ndisk: 4GiB\n"

// own starts a process with dir in its arguments, like an instance's processes.
func own(t *testing.T, dir string) string {
	t.Helper()
	c := exec.Command("sh", "-c", "read x; :", dir)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = in.Close(), c.Wait() })
	return strconv.Itoa(c.Process.Pid)
}

// deadPID returns the id of a process that has ended.
func deadPID(t *testing.T) string {
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(c.Process.Pid)
}

func TestStatus(t *testing.T) {
	const me = "OWN" // replaced by the id of a process of the instance
	dead, other := deadPID(t), strconv.Itoa(os.Getpid())
	ready := `{"time":"2026-01-02T03:04:05Z","status":{"running":true,"sshLocalPort":40022}}` + "\n"
	cases := map[string]struct {
		files   map[string]string // of the instance
		listen  bool              // on ha.sock
		status  Status
		phase   Phase
		problem string
	}{
		"stopped":              {map[string]string{"lima.yaml": sized}, false, Stopped, "", ""},
		"stale pid files":      {map[string]string{"lima.yaml": sized, "ha.pid": dead, "qemu.pid": dead + "\n"}, false, Stopped, "", ""},
		"both live":            {map[string]string{"lima.yaml": sized, "ha.pid": me, "qemu.pid": me}, true, Running, Starting, ""},
		"ready":                {map[string]string{"lima.yaml": sized, "ha.pid": me, "qemu.pid": me, "ha.stdout.log": `{"status":{}}` + "\n" + ready + `{"status":{"cloudInitProgress":{"logLine":"x"}}}` + "\n{\"status\":{\"runn"}, true, Running, Ready, ""},
		"degraded":             {map[string]string{"lima.yaml": sized, "ha.pid": me, "qemu.pid": me, "ha.stdout.log": `{"status":{"running":true,"degraded":true,"errors":["did not become ready"]}}` + "\n"}, true, Running, Degraded, ""},
		"agent hangs":          {map[string]string{"lima.yaml": sized, "ha.pid": me, "qemu.pid": me}, false, Broken, "", "does not answer"},
		"agent alone":          {map[string]string{"lima.yaml": sized, "ha.pid": me}, true, Broken, "", "VM is not"},
		"machine alone":        {map[string]string{"lima.yaml": sized, "qemu.pid": me}, false, Broken, "", "host agent is not"},
		"crashed, both":        {map[string]string{"lima.yaml": sized, "ha.pid": other, "qemu.pid": other}, true, Broken, "", "another program"},
		"crashed, one":         {map[string]string{"lima.yaml": sized, "qemu.pid": other}, false, Broken, "", "another program"},
		"pid of init":          {map[string]string{"lima.yaml": sized, "qemu.pid": "1"}, false, Broken, "", "qemu.pid"},
		"pid is text":          {map[string]string{"lima.yaml": sized, "ha.pid": "many"}, false, Broken, "", "ha.pid"},
		"pid of a group":       {map[string]string{"lima.yaml": sized, "ha.pid": "-1"}, false, Broken, "", "ha.pid"},
		"half created":         {map[string]string{"image": "xx"}, false, Broken, "", "no lima.yaml"},
		"broken yaml":          {map[string]string{"lima.yaml": "cpus: [1, 2"}, false, Broken, "", "lima.yaml"},
		"driver is a path":     {map[string]string{"lima.yaml": "vmType: ../../x\n"}, false, Broken, "", "vmType"},
		"yaml of other shapes": {map[string]string{"lima.yaml": "cpus: many\n"}, false, Broken, "", "lima.yaml"},
		"pid of another driver": {map[string]string{"lima.yaml": strings.Replace(sized, "qemu", "krunkit", 1), "ha.pid": me, "krunkit.pid": me}, true,
			Running, Starting, ""},
	}
	for name, c := range cases {
		files := map[string]string{}
		for f, content := range c.files {
			files["vm/"+f] = content
		}
		s := store(t, files)
		for f, content := range c.files {
			if content == me {
				if err := os.WriteFile(filepath.Join(s.Dir, "vm", f), []byte(own(t, filepath.Join(s.Dir, "vm"))), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if c.listen {
			l, err := net.Listen("unix", filepath.Join(s.Dir, "vm", "ha.sock"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
		}
		i, err := s.Instance("vm")
		if err != nil || i.Status != c.status || i.Phase != c.phase || !strings.Contains(i.Problem, c.problem) || (c.problem == "") != (i.Problem == "") {
			t.Errorf("%s: %v %q %q, %v; want %v %q %q", name, i.Status, i.Phase, i.Problem, err, c.status, c.phase, c.problem)
		}
		for f := range c.files { // read-only, unlike limactl list
			if _, err := os.Lstat(filepath.Join(s.Dir, "vm", f)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestConfigure(t *testing.T) {
	s := store(t, map[string]string{
		"full/lima.yaml":    sized + "somethingNew: {a: [1]}\nuser: {name: joe}\nssh: {localPort: 60022}\n",
		"full/lima-version": "v2.2.0\n",
		"full/protected":    "",
		"later/lima.yaml":   "os: Plan9\narch: loongarch64\nvmType: hyper\ncpus: 64\nmemory: 4GB\ndisk: 0.5GiB\n",
		"bare/lima.yaml":    "images: []\n",
		"bare/ssh.config":   "Host lima-bare\n  Hostname 127.0.0.1\n  Port 41234\n  User \"it is me\"\n",
		"sizes/lima.yaml":   "memory: lots\n",
		"vz/lima.yaml":      "arch: aarch64\n",
		"vz/vz-identifier":  "",
		"_config/user":      "key",
		".hidden/lima.yaml": "",
		"file":              "",
		"link":              "-> full", // limactl ignores links
	})
	list, err := s.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]Instance{}
	var names []string
	for _, i := range list {
		by[i.Name] = i
		names = append(names, i.Name)
	}
	if want := []string{"bare", "full", "later", "sizes", "vz"}; !slices.Equal(names, want) {
		t.Errorf("listed %v, want %v", names, want)
	}
	f := by["full"]
	if f.CPUs != 2 || f.MemBytes != 1<<30 || f.DiskBytes != 4<<30 || f.Arch != "amd64" || f.VMType != "qemu" || f.User != "joe" || f.SSHAddr != "127.0.0.1:60022" || f.Version != "2.2.0" || !f.Protected || f.KeyFile != filepath.Join(s.Dir, "_config", "user") {
		t.Errorf("full: %+v", f)
	}
	if l := by["later"]; l.OS != "Plan9" || l.Arch != "loongarch64" || l.VMType != "hyper" || l.CPUs != 64 || l.MemBytes != 4<<30 || l.DiskBytes != 1<<29 {
		t.Errorf("later: %+v", l)
	}
	if b := by["bare"]; b.OS != "Linux" || b.Arch != runtime.GOARCH || b.CPUs != min(4, runtime.NumCPU()) || b.MemBytes != min(4<<30, home.Memory()/2) || b.DiskBytes != 100<<30 || b.SSHAddr != "127.0.0.1:41234" || b.User != "it is me" {
		t.Errorf("bare: %+v", b)
	}
	if by["sizes"].Problem == "" || by["vz"].VMType != "vz" {
		t.Errorf("sizes: %+v; vz: %+v", by["sizes"], by["vz"])
	}
}

// Lima merges two files of the user into every instance.
func TestMixed(t *testing.T) {
	s := store(t, map[string]string{
		"vm/lima.yaml":          "cpus: 2\nmemory: 1GiB\n",
		"_config/default.yaml":  "cpus: 8\nmemory: 8GiB\ndisk: 8GiB\n",
		"_config/override.yaml": "memory: 2GiB\n",
	})
	if i, err := s.Instance("vm"); err != nil || i.CPUs != 2 || i.MemBytes != 2<<30 || i.DiskBytes != 8<<30 {
		t.Errorf("%+v, %v", i, err)
	}
}

func TestDisk(t *testing.T) {
	s := store(t, map[string]string{
		"new/lima.yaml": sized, "new/disk": "0123", "new/iso": "x",
		"old/lima.yaml": sized, "old/basedisk": "012345", "old/diffdisk": "01",
		"moved/lima.yaml": sized, "moved/diffdisk": "01", "moved/basedisk": "0", "moved/disk": "-> diffdisk", "moved/iso": "-> basedisk",
		"away/lima.yaml": sized, "away/disk": "-> /no/such/place/disk",
		"linked/lima.yaml": sized, "linked/disk": "-> ../_store/big", "_store/big": "0123456789",
		"odd/lima.yaml": sized, "odd/disk/x": "a folder",
		"none/lima.yaml": sized,
	})
	for name, want := range map[string]struct {
		disk, base string
		apparent   uint64
	}{
		"new": {"new/disk", "", 4}, "old": {"old/diffdisk", "old/basedisk", 8}, "moved": {"moved/diffdisk", "moved/basedisk", 3},
		"away": {"", "", 0}, "linked": {"_store/big", "", 10}, "odd": {"", "", 0}, "none": {"", "", 0},
	} {
		i, err := s.Instance(name)
		rel := func(p string) string { return strings.TrimPrefix(strings.TrimPrefix(p, s.Dir), "/") }
		if err != nil || rel(i.Disk) != want.disk || rel(i.Base) != want.base || i.DiskApparent != want.apparent || (want.apparent > 0) != (i.DiskAllocated > 0) {
			t.Errorf("%s: disk %q, base %q, %d bytes, %d allocated, %v; want %+v", name, i.Disk, i.Base, i.DiskApparent, i.DiskAllocated, err, want)
		}
		if (i.Problem != "") != (name == "away") {
			t.Errorf("%s: problem %q", name, i.Problem)
		}
	}
}

func TestNames(t *testing.T) {
	s := store(t, map[string]string{"vm/lima.yaml": sized, "_config/user": "", "a b/lima.yaml": sized})
	for _, n := range []string{"", ".", "..", "../x", "vm/../vm", "_config", ".vm", "a b", "-vm", "vm.yaml", strings.Repeat("a", 77), "vm\n", "näme"} {
		var bad *NameError
		if _, err := s.Instance(n); !errors.As(err, &bad) {
			t.Errorf("%q: %v", n, err)
		}
	}
	var none *NotFoundError
	if _, err := s.Instance("other"); !errors.As(err, &none) || !strings.Contains(err.Error(), "vm") {
		t.Errorf("%v", err)
	}
	if list, err := s.List(context.Background()); err != nil || len(list) != 2 { // limactl lists "a b" as well
		t.Errorf("%+v, %v", list, err)
	}
}

func TestStoreElsewhere(t *testing.T) {
	s := store(t, map[string]string{"real/vm/lima.yaml": sized, "link": "-> real", "gone": "-> /no/such/disk", "file": ""})
	t.Setenv("LIMA_HOME", filepath.Join(s.Dir, "link"))
	if i, err := (Store{}).Instance("vm"); err != nil || i.Dir != filepath.Join(s.Dir, "real", "vm") {
		t.Errorf("%+v, %v", i, err)
	}
	t.Setenv("LIMA_HOME", "")
	t.Setenv("HOME", s.Dir)
	if root, err := (Store{}).Root(); err != nil || root != filepath.Join(s.Dir, ".lima") {
		t.Errorf("%s, %v", root, err)
	}
	if list, err := (Store{}).List(context.Background()); err != nil || len(list) != 0 {
		t.Errorf("a store that was never made: %v, %v", list, err)
	}
	var bad *StoreError
	for _, dir := range []string{"gone", "file"} {
		if _, err := (Store{filepath.Join(s.Dir, dir)}).List(context.Background()); !errors.As(err, &bad) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// Whatever an instance's folder contains, there is no panic, no hang, and no path
// outside of it. Minimizing uses all the time of a short run: use -fuzzminimizetime 1x.
func FuzzInstance(f *testing.F) {
	f.Add([]byte(sized), []byte("Port 1\nUser x\n"), []byte(`{"status":{"running":true}}`), []byte("12"))
	f.Add([]byte("{vmType: ../../x}"), []byte("Port 99999"), []byte("{}"), []byte("-1"))
	f.Add([]byte("a: &a [*a]\n"), []byte(""), []byte("\n\n"), []byte("1"))
	root := f.TempDir()
	dir := filepath.Join(root, "vm")
	if err := os.Mkdir(dir, 0o755); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, yml, ssh, log, pid []byte) {
		for name, b := range map[string][]byte{"lima.yaml": yml, "ssh.config": ssh, "ha.stdout.log": log, "qemu.pid": pid} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		i, err := Store{root}.Instance("vm")
		if err != nil || i.Status == Unknown || (i.Status == Broken && i.Problem == "") {
			t.Errorf("%+v, %v", i, err)
		}
		_ = lastPhase(filepath.Join(dir, "ha.stdout.log"))
	})
}

// Files that would exhaust memory or block forever are reported instead.
func TestHostileFiles(t *testing.T) {
	s := store(t, map[string]string{
		"brackets/lima.yaml": "images: " + strings.Repeat("[", 50_000),
		"maps/lima.yaml":     strings.Repeat("{a: ", 50_000),
		"dashes/lima.yaml":   strings.Repeat("- ", 50_000) + "x",
		"lines/lima.yaml":    strings.Repeat("[\n", 50_000),
		"deep/lima.yaml":     indented(300),
		"large/lima.yaml":    "x: y\n" + strings.Repeat("# much\n", 400_000),
		"fine/lima.yaml":     sized + "# " + strings.Repeat("[]{}", 1000) + "\nx: " + strings.Repeat("[", 20) + strings.Repeat("]", 20) + "\n",
		"fifo/lima.yaml":     sized,
	})
	if err := syscall.Mkfifo(filepath.Join(s.Dir, "fifo", "lima-version"), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := s.List(context.Background())
	if err != nil || len(list) != 8 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, i := range list {
		switch fine := i.Name == "fine" || i.Name == "fifo"; {
		case fine && i.Status != Stopped:
			t.Errorf("%s: %s, %s", i.Name, i.Status, i.Problem)
		case !fine && (i.Status != Broken || !strings.Contains(i.Problem, "nested") && !strings.Contains(i.Problem, "larger")):
			t.Errorf("%s: %s, %s", i.Name, i.Status, i.Problem)
		}
	}
}

// indented returns a YAML map nested to the depth.
func indented(deep int) string {
	var b strings.Builder
	for n := range deep {
		b.WriteString(strings.Repeat("  ", n) + "a:\n")
	}
	return b.String()
}
