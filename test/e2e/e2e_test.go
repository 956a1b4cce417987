//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend/guest/guesttest"
)

const lean = "debian-12-arm64-lean"

// work is the one place where these tests leave files while they run.
var (
	root string // of the repository
	work string
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if root, err = filepath.Abs("../.."); err != nil {
			fmt.Println(err)
			return 1
		}
		if work = os.Getenv("INGOT_E2E_WORK"); work == "" { // else its owner goes on with what is in it
			if work, err = os.MkdirTemp("/var/tmp", "ingot-e2e-"); err != nil {
				fmt.Println(err)
				return 1
			}
			defer os.RemoveAll(work)
		}
		if err := exec.Command("cp", "-r", filepath.Join(root, "test", "targets"), filepath.Join(work, "targets")).Run(); err != nil {
			fmt.Println(err)
			return 1
		}
		defer stopOwners()
		return m.Run()
	}())
}

// stopOwners ends the owners of all homes below work that still run.
func stopOwners() {
	sockets, _ := filepath.Glob(filepath.Join(work, "*", "data", "owner.sock"))
	more, _ := filepath.Glob(filepath.Join(work, "*", "*", "data", "owner.sock"))
	for _, s := range append(sockets, more...) {
		cmd := exec.Command(filepath.Join(root, "bin", "ingot"), "owner", "stop")
		cmd.Env = environment(filepath.Dir(filepath.Dir(s)))
		_ = cmd.Run() // one that left by itself is as good
	}
}

// ingot runs the program in the tests' home and returns its output and code.
func ingot(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return ingotIn(t, filepath.Join(work, "home"), args...)
}

func ingotIn(t *testing.T, home string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return ingotWith(t, environment(home), args...)
}

func ingotWith(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := exec.Command(filepath.Join(root, "bin", "ingot"), args...)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(&errOut, testWriter{t})
	err := cmd.Run()
	if exit, ok := err.(*exec.ExitError); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), code
}

// environment is the tests' own home over the user's shared cache.
func environment(home string) []string {
	return append(os.Environ(), "INGOT_HOME="+home, "INGOT_CONFIG="+work, "INGOT_CACHE="+cacheDir(), "INGOT_KEYCHAIN=off", "INGOT_WORK="+guestWork(), "INGOT_OWNER_IDLE=10s")
}

// guestWork is where the local guest makes its work directories.
func guestWork() string { return filepath.Join(work, "guest-work") }

func cacheDir() string {
	if dir := os.Getenv("INGOT_CACHE"); dir != "" {
		return dir
	}
	user, _ := os.UserHomeDir()
	return filepath.Join(user, ".cache", "ingot")
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimRight(p, "\n"))
	return len(p), nil
}

type cell struct{ State, Evidence, Cause, Note string }

func status(t *testing.T, target string) map[string]cell {
	t.Helper()
	out, _, code := ingot(t, "status", target, "--json")
	if code != 0 {
		t.Fatalf("status: exit %d", code)
	}
	var rows []json.RawMessage
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 1 {
		t.Fatalf("status: %v: %s", err, out)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(rows[0], &raw); err != nil {
		t.Fatal(err)
	}
	cells := map[string]cell{}
	for _, name := range []string{"configured", "guest", "kernel", "exported", "boots", "published"} {
		var c cell
		if err := json.Unmarshal(raw[name], &c); err != nil {
			t.Fatal(err)
		}
		cells[name] = c
	}
	return cells
}

// evidence returns a document's predicate.
func evidence(t *testing.T, id string, v any) {
	t.Helper()
	out, _, code := ingot(t, "evidence", "show", id)
	if code != 0 {
		t.Fatalf("evidence show %s: exit %d", id, code)
	}
	var st struct{ Predicate json.RawMessage }
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(st.Predicate, v); err != nil {
		t.Fatal(err)
	}
}

// The whole line: recipe → kernel → image → export → proof → publish → status.
func TestA_WholeLine(t *testing.T) {
	if _, _, code := ingot(t, "build", lean, "--renew"); code != 0 {
		t.Fatalf("build: exit %d", code)
	}
	cells := status(t, lean)
	for name, c := range cells {
		if c.State != "passed" || c.Evidence == "" {
			t.Errorf("%s is %s (%s)", name, c.State, c.Cause)
		}
	}
	if cells["published"].Note != "local only" {
		t.Errorf("published: note %q", cells["published"].Note)
	}
	var kernel struct{ Release, BuildID, Compiler string }
	evidence(t, cells["kernel"].Evidence, &kernel)
	compareBytes(t, kernel.Compiler)
	var proof struct {
		KernelRelease, KernelBuildID string
		Boots                        []struct {
			Name        string
			Accelerator string
			Argv        []string
			Phases      []struct{ Name string }
			Checks      []struct{ Name, Verdict string }
			Serial      struct {
				SHA256 string
				Size   int64
			}
		}
	}
	evidence(t, cells["boots"].Evidence, &proof)
	if proof.KernelRelease != kernel.Release || proof.KernelBuildID != kernel.BuildID || len(kernel.BuildID) != 40 || !strings.Contains(kernel.Release, "-ingot-") {
		t.Errorf("running kernel %+v, built %+v", proof.KernelRelease, kernel)
	}
	if len(proof.Boots) != 2 || len(proof.Boots[0].Phases) != 6 || len(proof.Boots[1].Phases) != 5 || len(proof.Boots[0].Checks) != 1 {
		t.Errorf("boots: %+v", proof.Boots)
	}
	for _, b := range proof.Boots {
		if len(b.Argv) < 10 || b.Serial.Size < 10000 || len(b.Serial.SHA256) != 64 || b.Accelerator == "" {
			t.Errorf("boot %s: argv %d, serial %+v, accelerator %q", b.Name, len(b.Argv), b.Serial, b.Accelerator)
		}
	}
}

// compareBytes compares what was built with the recorded digests, as far as lock,
// recipe and scripts – the key in the folder's name – and compiler are the same.
func compareBytes(t *testing.T, compiler string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "bytes.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		first, rest, _ := strings.Cut(line, " ")
		switch first {
		case "#":
			continue
		case "compiler":
			if rest != compiler {
				t.Logf("bytes not compared: the recorded ones are of %s, these of %s", rest, compiler)
				return
			}
			continue
		}
		dir := filepath.Join(work, "home")
		if cached, ok := strings.CutPrefix(rest, "cache/"); ok {
			dir, rest = cacheDir(), cached
		}
		found, _ := filepath.Glob(filepath.Join(dir, filepath.FromSlash(rest))) // the pattern is good
		if len(found) == 0 {
			t.Logf("%s: not compared: no step of this key was run", rest)
			continue
		}
		if sum := strings.Fields(run(t, "sha256sum", found[0]))[0]; sum != first {
			t.Errorf("%s: SHA-256 %s, recorded is %s", rest, sum, first)
		} else {
			t.Logf("%s: the recorded bytes", rest)
		}
	}
}

func TestB_NothingToDo(t *testing.T) {
	_, stderr, code := ingot(t, "build", lean)
	if code != 0 || strings.Contains(stderr, "started") || strings.Count(stderr, "unchanged") < 3 {
		t.Errorf("exit %d:\n%s", code, stderr)
	}
}

func TestC_QcowIsClean(t *testing.T) {
	if out, err := exec.Command("qemu-img", "check", artifact(t)).CombinedOutput(); err != nil {
		t.Errorf("qemu-img check: %v\n%s", err, out)
	}
}

func artifact(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(work, "home", "data", "outputs", "export-*", "debian-12-lean-*.qcow2"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no artifact: %v", err)
	}
	return found[0]
}

// A stranger with only the public key verifies the address and boots it.
func TestD_StrangerVerifiesAndBoots(t *testing.T) {
	cmd := exec.Command(filepath.Join(root, "bin", "ingot"), "store", "serve")
	cmd.Env = environment(filepath.Join(work, "home"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() }()
	if n, err := out.Read(make([]byte, 256)); n == 0 {
		t.Fatal(err)
	}
	var receipt struct{ URL string }
	evidence(t, status(t, lean)["published"].Evidence, &receipt)
	key := filepath.Join(work, "ingot.pub")
	pub, _, _ := ingot(t, "evidence", "key")
	if err := os.WriteFile(key, []byte(pub), 0o600); err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(work, "stranger")
	if _, stderr, code := ingotIn(t, stranger, "verify", receipt.URL); code != 7 || !strings.Contains(stderr, "evidence.foreign-key") {
		t.Errorf("without the key: exit %d\n%s", code, stderr)
	}
	if stdout, _, code := ingotIn(t, stranger, "verify", receipt.URL, "--key", key, "--boot"); code != 0 || !strings.Contains(stdout, "booted  now: proof-") {
		t.Errorf("with the key: exit %d\n%s", code, stdout)
	}
	pulled := filepath.Join(work, "pulled.qcow2")
	if _, stderr, code := ingotIn(t, stranger, "pull", receipt.URL, "--key", key, "--out", pulled); code != 0 || run(t, "sha256sum", pulled)[:64] != run(t, "sha256sum", artifact(t))[:64] {
		t.Errorf("pull: exit %d\n%s", code, stderr)
	}
	// a byte changed at the publisher is noticed
	var disk string
	err = filepath.WalkDir(filepath.Join(work, "home", "data", "store", "objects"), func(p string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(p, ".qcow2") {
			disk = p
		}
		return err
	})
	if err != nil || disk == "" {
		t.Fatalf("no published disk: %v", err)
	}
	restore := flip(t, disk, 1000)
	if _, stderr, code := ingotIn(t, stranger, "verify", receipt.URL, "--key", key); code != 7 || !strings.Contains(stderr, "image.digest-changed") {
		t.Errorf("changed byte: exit %d\n%s", code, stderr)
	}
	if _, stderr, code := ingotIn(t, stranger, "pull", receipt.URL, "--key", key, "--out", pulled+"2"); code != 7 || !strings.Contains(stderr, "image.digest-changed") {
		t.Errorf("pull of a changed byte: exit %d\n%s", code, stderr)
	}
	restore()
}

// flip changes one byte of a file and returns a function that puts it back.
func flip(t *testing.T, file string, off int64) func() {
	t.Helper()
	poke := func() {
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b := make([]byte, 1)
		if _, err := f.ReadAt(b, off); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 0xff
		if _, err := f.WriteAt(b, off); err != nil {
			t.Fatal(err)
		}
	}
	poke()
	return poke
}

// disk makes a copy of the built raw disk for a test to break.
func disk(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(work, "home", "data", "outputs", "image-*", "disk.raw"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no disk: %v", err)
	}
	dst := filepath.Join(t.TempDir(), "broken-arm64.raw")
	sh(t, "cp --sparse=always "+found[0]+" "+dst)
	return dst
}

func sh(t *testing.T, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-ec", "PATH=$PATH:/usr/sbin:/sbin; export MTOOLS_SKIP_CHECK=1; "+script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

// Every way to break an image must fail its proof, each with its own cause.
func TestE_NegativeControls(t *testing.T) {
	entry := func(t *testing.T, d, sed string) {
		dir := t.TempDir()
		sh(t, fmt.Sprintf("mcopy -n -i %[1]s@@1M ::/loader/entries/ingot.conf %[2]s/e; sed -i '%[3]s' %[2]s/e; mdel -i %[1]s@@1M ::/loader/entries/ingot.conf; mcopy -i %[1]s@@1M %[2]s/e ::/loader/entries/ingot.conf", d, dir, sed))
	}
	kernelPath := func(t *testing.T, d string) string {
		return "::/ingot/" + sh(t, fmt.Sprintf("mdir -b -i %s@@1M ::/ingot | sed -n 's,^::/ingot/\\([^/]*\\)/$,\\1,p'", d)) + "/linux"
	}
	cases := []struct {
		name  string
		want  string
		spoil func(t *testing.T, d string) string // returns the file to prove
	}{
		{"no kernel on the ESP", "loader.no-kernel", func(t *testing.T, d string) string {
			sh(t, fmt.Sprintf("mdel -i %s@@1M %s", d, kernelPath(t, d)))
			return d
		}},
		{"broken loader", "firmware.no-loader", func(t *testing.T, d string) string {
			sh(t, fmt.Sprintf("head -c 70000 /dev/zero > %[2]s; mdel -i %[1]s@@1M ::/EFI/BOOT/BOOTAA64.EFI; mcopy -i %[1]s@@1M %[2]s ::/EFI/BOOT/BOOTAA64.EFI", d, filepath.Join(t.TempDir(), "zero")))
			return d
		}},
		{"wrong root", "kernel.no-root", func(t *testing.T, d string) string {
			entry(t, d, "s/root=PARTUUID=[^ ]*/root=PARTUUID=00000000-0000-0000-0000-000000000000/")
			return d
		}},
		{"init missing", "kernel.no-init", func(t *testing.T, d string) string {
			part := filepath.Join(t.TempDir(), "root.img")
			sh(t, fmt.Sprintf("dd if=%[1]s of=%[2]s bs=1M skip=65 conv=sparse status=none; printf 'rm /usr/sbin/init\\nrm /usr/bin/sh\\n' | debugfs -w -f - %[2]s 2>/dev/null; dd if=%[2]s of=%[1]s bs=1M seek=65 conv=notrunc status=none", d, part))
			return d
		}},
		{"kernel hangs", "kernel.silent", func(t *testing.T, d string) string {
			img := filepath.Join(t.TempDir(), "linux")
			path := kernelPath(t, d)
			sh(t, fmt.Sprintf("mcopy -n -i %s@@1M %s %s", d, path, img))
			hangKernel(t, img)
			sh(t, fmt.Sprintf("mdel -i %[1]s@@1M %[2]s; mcopy -i %[1]s@@1M %[3]s %[2]s", d, path, img))
			return d
		}},
		{"restarts for ever", "boot.loop", func(t *testing.T, d string) string {
			dir := t.TempDir()
			sh(t, fmt.Sprintf("printf '#!/bin/sh\nexec /usr/bin/systemctl reboot -ff\n' > %[2]s/again; dd if=%[1]s of=%[2]s/root.img bs=1M skip=65 conv=sparse status=none; printf 'write %[2]s/again /usr/sbin/again\nsif /usr/sbin/again mode 0100755\n' | debugfs -w -f - %[2]s/root.img 2>/dev/null; dd if=%[2]s/root.img of=%[1]s bs=1M seek=65 conv=notrunc status=none", d, dir))
			entry(t, d, "s,^options ,options init=/usr/sbin/again ,")
			return d
		}},
		{"truncated qcow2", "image.truncated", func(t *testing.T, d string) string {
			dst := filepath.Join(t.TempDir(), "short.qcow2")
			sh(t, fmt.Sprintf("cp %[1]s %[2]s; truncate -s %[3]d %[2]s", artifact(t), dst, 50<<20))
			return dst
		}},
		{"no image at all", "image.unreadable", func(t *testing.T, _ string) string {
			dst := filepath.Join(t.TempDir(), "text.qcow2")
			sh(t, "yes hello | head -c 1000000 > "+dst)
			return dst
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			file := c.spoil(t, disk(t))
			_, stderr, code := ingot(t, "prove", file)
			if code != 5 || !strings.Contains(stderr, "cause: "+c.want) {
				t.Errorf("exit %d, want 5 and %s:\n%s", code, c.want, stderr)
			}
		})
	}
}

// hangKernel replaces the first instruction of the arm64 kernel proper by a
// branch to itself. The second word of the image's header is "b primary_entry"
// (Documentation/arm64/booting.rst).
func hangKernel(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	branch := binary.LittleEndian.Uint32(b[4:])
	if branch>>26 != 0b000101 {
		t.Fatalf("%#x is no branch", branch)
	}
	binary.LittleEndian.PutUint32(b[4+int(branch&0x03ffffff)*4:], 0x14000000)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// An unproven image is published only when asked for, and then marked so.
func TestF_UnprovenIsNotPublished(t *testing.T) {
	_, stderr, code := ingot(t, "build", "lean-noinit")
	if code != 5 || !strings.Contains(stderr, "cause: kernel.no-init") {
		t.Fatalf("build: exit %d\n%s", code, stderr)
	}
	cells := status(t, "lean-noinit")
	if c := cells["boots"]; c.State != "failed" || c.Cause != "kernel.no-init" {
		t.Errorf("boots: %+v", c)
	}
	if c := cells["published"]; c.State != "unknown" {
		t.Errorf("published: %+v", c)
	}
	if _, stderr, code := ingot(t, "publish", "lean-noinit"); code != 2 || !strings.Contains(stderr, "--unproven") {
		t.Errorf("publish: exit %d\n%s", code, stderr)
	}
	if _, stderr, code := ingot(t, "publish", "lean-noinit", "--unproven"); code != 0 {
		t.Fatalf("publish --unproven: exit %d\n%s", code, stderr)
	}
	if c := status(t, "lean-noinit")["published"]; c.State != "passed" || !strings.Contains(c.Note, "unproven") {
		t.Errorf("published: %+v", c)
	}
}

// A changed byte of a known artifact: no tick, no publish, no verification.
func TestG_ChangedArtifact(t *testing.T) {
	file := artifact(t)
	time.Sleep(20 * time.Millisecond) // a tick of the file system's clock
	restore := flip(t, file, 2<<20)
	cells := status(t, lean)
	for _, name := range []string{"exported", "boots"} {
		if c := cells[name]; c.State != "stale" || c.Cause != "image.digest-changed" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if _, _, code := ingot(t, "publish", lean); code != 2 {
		t.Errorf("publish: exit %d", code)
	}
	if _, stderr, code := ingot(t, "verify", file); code != 7 || !strings.Contains(stderr, "image.digest-changed") {
		t.Errorf("verify: exit %d\n%s", code, stderr)
	}
	restore()
	if c := status(t, lean)["boots"]; c.State != "passed" {
		t.Errorf("after mending: %+v", c)
	}
}

// What was published holds no private key and no host of the build machine.
func TestH_NothingPrivateIsPublished(t *testing.T) {
	secretFile := filepath.Join(work, "home", "data", "keys", "store-secret")
	password, err := os.ReadFile(secretFile)
	if err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	for _, dir := range []string{filepath.Join(work, "home", "data", "store", "objects"), filepath.Join(work, "home", "data", "builds")} {
		err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(p, ".qcow2") {
				return err
			}
			b, err := os.ReadFile(p)
			if bytes.Contains(b, password) {
				t.Errorf("%s holds the store's secret", p)
			}
			if len(host) > 4 && bytes.Contains(b, []byte(host)) && strings.HasSuffix(p, ".json") {
				t.Errorf("%s names this computer", p)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// The same recipe, unchanged, in a guest over ssh: the kernel's build-id must
// be that of the local build, since source, configuration and compiler are.
func TestI_OverSSH(t *testing.T) {
	if os.Getenv("INGOT_E2E_SOAK") == "" {
		t.Skip("part of make soak: another whole build; the conformance suite passes over ssh, and a worker builds in another home")
	}
	s := guesttest.StartSSHD(t)
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	cfg := fmt.Sprintf("guests:\n  - {name: loop, kind: ssh, host: %s, port: %s, user: %s, keyFile: %s, knownHostsFile: %s, workDir: %s, cacheDir: %s}\n",
		host, port, s.User, s.Key, s.Known, filepath.Join(work, "ssh-work"), cacheDir())
	if err := os.WriteFile(filepath.Join(work, "config.yaml"), []byte(cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(filepath.Join(work, "config.yaml"))
	far := filepath.Join(work, "far")
	if _, stderr, code := ingotIn(t, far, "--guest", "loop", "build", lean, "--until", "export"); code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	if left, _ := filepath.Glob(filepath.Join(work, "ssh-work", "*")); len(left) > 0 {
		t.Errorf("left in the guest: %v", left)
	}
	want := buildID(t, filepath.Join(work, "home"))
	if got := buildID(t, far); got != want {
		t.Errorf("build-id over ssh %s, local %s", got, want)
	}
	if out, _, _ := ingotIn(t, far, "status", lean, "--json"); !strings.Contains(out, `"kernel": {
      "state": "passed"`) {
		t.Errorf("status: %s", out)
	}
}

// buildID reads the kernel's build-id out of a home's evidence.
func buildID(t *testing.T, home string) string {
	t.Helper()
	out, _, _ := ingotIn(t, home, "status", lean, "--json")
	var rows []struct{ Kernel cell }
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	doc, _, _ := ingotIn(t, home, "evidence", "show", rows[0].Kernel.Evidence)
	var st struct{ Predicate struct{ BuildID string } }
	if err := json.Unmarshal([]byte(doc), &st); err != nil || len(st.Predicate.BuildID) != 40 {
		t.Fatalf("%v: %s", err, doc)
	}
	return st.Predicate.BuildID
}

// The image step makes the same bytes again; a difference planted in the root
// file system is found and named.
func TestJ_SameBytesAgain(t *testing.T) {
	home := filepath.Join(work, "home")
	before := outputDigests(t, home)
	_, stderr, code := ingot(t, "build", lean, "--check", "--force", "image")
	if code != 0 || !strings.Contains(stderr, "the same bytes again: image") {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	planted := filepath.Join(work, "planted-cache")
	plant(t, planted, "etc/issue", "planted\n")
	_, stderr, code = ingotWith(t, append(environment(home), "INGOT_CACHE="+planted), "build", lean, "--check", "--force", "image")
	if code != 7 || !strings.Contains(stderr, "tree.txt: etc/issue: size ") || !strings.Contains(stderr, "image.not-reproducible") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	for name, c := range status(t, lean) {
		if c.State != "passed" {
			t.Errorf("a check changed the cell %s: %s", name, c.State)
		}
	}
	if after := outputDigests(t, home); !maps.Equal(before, after) {
		t.Errorf("a check changed the outputs: %v, before %v", after, before)
	}
}

// plant copies the cached root file systems into another cache and changes a
// file in each, with a record that fits.
func plant(t *testing.T, dir, name, content string) {
	t.Helper()
	tree := t.TempDir()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(tree, name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	outputs, err := filepath.Glob(filepath.Join(cacheDir(), "outputs", "rootfs-*"))
	if err != nil || len(outputs) == 0 {
		t.Fatalf("%v: no root file system in %s", err, cacheDir())
	}
	if err := os.MkdirAll(filepath.Join(dir, "outputs"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, o := range outputs {
		dst := filepath.Join(dir, "outputs", filepath.Base(o))
		run(t, "cp", "-r", o, dst)
		rootfs := filepath.Join(dst, "rootfs.tar")
		run(t, "tar", "--append", "--owner=0", "--group=0", "-f", rootfs, "-C", tree, "./"+name)
		sum := strings.Fields(run(t, "sha256sum", rootfs))[0]
		done, err := os.ReadFile(filepath.Join(dst, "done.json"))
		if err != nil {
			t.Fatal(err)
		}
		var rec map[string]any
		if err := json.Unmarshal(done, &rec); err != nil {
			t.Fatal(err)
		}
		rec["files"].(map[string]any)["rootfs.tar"] = sum
		if done, err = json.Marshal(rec); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dst, "done.json"), done, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs a program of the machine and returns what it printed.
func run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return string(out)
}
