//go:build e2e_lima

package lima

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ingot/backend/disk"
	"ingot/backend/fetch"
	"ingot/backend/guest"
	"ingot/backend/guest/lima"
)

// row is a target's line of `ingot status --json`.
type row struct {
	Target                                                string
	Configured, Guest, Kernel, Exported, Boots, Published struct{ State, Evidence, Cause, Note, Message string }
}

func rowOf(t *testing.T, name string) row {
	t.Helper()
	var rows []row
	if err := json.Unmarshal([]byte(must(t, "status", name, "--json")), &rows); err != nil || len(rows) != 1 {
		t.Fatalf("%v, %d rows", err, len(rows))
	}
	return rows[0]
}

// TestImage is the user's own plan: the VM that they have becomes a published image. The
// stopped instance is only read; what it and its people are known by is in none of the
// published bytes; nothing is done again while nothing changed.
func TestImage(t *testing.T) {
	const name = "web"
	plant(t, running(t))
	measured(t)
	secrets := secretsOf(t, found(t, vm)) // they are all still there
	i := stopped(t)
	before := digestOf(t, i.Disk)

	file := strings.Fields(must(t, "target", "new", name, "--from-vm", vm))[0]
	recipe, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(recipe); !strings.Contains(s, "os: debian") || !strings.Contains(s, `release: "12"`) || !strings.Contains(s, "arch: amd64") {
		t.Errorf("the recipe:\n%s", s)
	}
	// sanitising does not know where people have stored secrets of their own
	changes := "changes:\n  files: [{path: /etc/motd, content: \"made by a recipe\\n\"}]\n  commands: [\"rm /srv/live /srv/live.pub\"]\n"
	if err := os.WriteFile(file, append(recipe, changes...), 0o600); err != nil {
		t.Fatal(err)
	}
	stage(t, "image", func() {
		out, said, code := ingot(t, "vm", "image", vm, "--publish")
		if t.Logf("%s%s", out, said); code != 0 {
			t.Fatalf("exit code %d", code)
		}
	})

	r := rowOf(t, name)
	for what, state := range map[string]string{"configured": r.Configured.State, "guest": r.Guest.State, "exported": r.Exported.State, "boots": r.Boots.State, "published": r.Published.State} {
		if state != "passed" {
			t.Errorf("%s: %s", what, state)
		}
	}
	if r.Kernel.State != "unknown" || !strings.HasPrefix(r.Kernel.Note, "the VM's own, ") || r.Kernel.Evidence != "" {
		t.Errorf("a kernel that Ingot did not build: %+v", r.Kernel)
	}
	if after := digestOf(t, i.Disk); after != before || found(t, vm).Status != lima.Stopped {
		t.Errorf("the instance's disk was %s and is %s", before, after)
	}
	var guests struct {
		Predicate struct {
			Name string
			VM   struct{ Name, Method string }
		}
	}
	if err := json.Unmarshal([]byte(must(t, "evidence", "show", r.Guest.Evidence)), &guests); err != nil || guests.Predicate.VM.Name != vm || guests.Predicate.VM.Method != lima.CopyDirect {
		t.Errorf("%v, %+v", err, guests)
	}

	disk := publishedDisk(t, r.Published.Evidence)
	wantSound(t, disk)
	must(t, "scan", disk)
	absent(t, disk, secrets)
	wantSanitised(t, name)
	wantTar(t, name, secrets)

	folder := t.TempDir()
	stage(t, "to a folder", func() { must(t, "publish", name, "--to", "dir:"+folder) })
	second := rowOf(t, name).Published
	if copied := publishedDiskIn(t, folder, second.Evidence); digestOf(t, copied) != digestOf(t, disk) {
		t.Error("the folder has another disk than the store")
	}
	if want := "at dir:" + folder + " and local store"; second.Note != want {
		t.Errorf("published %q, want %q", second.Note, want)
	}
	must(t, "publish", name)               // its template is Lima's
	if os.Getenv("INGOT_E2E_SOAK") != "" { // another start of two minutes or more
		stage(t, "started by limactl from the published template", func() { must(t, "prove", name, "--lima") })
	}

	stage(t, "again", func() {
		if _, said, code := ingot(t, "vm", "image", vm, "--publish"); code != 0 || strings.Contains(said, "copying the disk") {
			t.Errorf("nothing changed, exit code %d:\n%s", code, said)
		}
	})
}

// secretsOf are texts of the instance that no published byte may hold.
func secretsOf(t *testing.T, i lima.Instance) map[string]string {
	t.Helper()
	g := opened(t, i)
	defer g.Close()
	out := map[string]string{}
	for what, script := range map[string]string{
		"a live private key": "sed -n 3p /srv/live", "the host key": "sed -n 3p /etc/ssh/ssh_host_ed25519_key", "the machine id": "cat /etc/machine-id",
		"the public host key": "cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub", "Lima's public key": `cut -d' ' -f2 "$(getent passwd "$SUDO_USER" | cut -d: -f6)/.ssh/authorized_keys"`,
	} {
		var text bytes.Buffer
		if err := g.Run(context.Background(), guest.Cmd{Argv: []string{"sudo", "sh", "-c", script}, Stdout: &text}); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		first, _, _ := strings.Cut(strings.TrimSpace(text.String()), "\n")
		if len(first) < 16 {
			t.Fatalf("%s: %q", what, first)
		}
		out[what] = first
	}
	return out
}

func digestOf(t *testing.T, file string) string {
	t.Helper()
	sum, err := fetch.Digest(file)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// measured: a dry run counts what is to be taken out of the running VM.
func measured(t *testing.T) {
	t.Helper()
	var found struct {
		Removed, Stays []struct {
			Rule        string
			Files, Size int64
		}
	}
	if err := json.Unmarshal([]byte(must(t, "vm", "sanitise", vm, "--dry-run", "--json")), &found); err != nil {
		t.Fatal(err)
	}
	files := map[string]int64{}
	for _, i := range slices.Concat(found.Removed, found.Stays) {
		files[i.Rule] = i.Files
	}
	for _, rule := range []string{"host-keys", "machine-id", "keys", "cloud-init", "accounts", "logs", "homes"} {
		if files[rule] == 0 {
			t.Errorf("the dry run finds nothing by the rule %s: %v", rule, files)
		}
	}
}

// wantSanitised: the image's evidence reports what was taken out of it.
func wantSanitised(t *testing.T, target string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(os.Getenv("INGOT_HOME"), "data", "builds", target, "*", "evidence", "image-*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no evidence of an image: %v", err)
	}
	var image struct {
		Predicate struct {
			Sanitised struct {
				Rules   string
				Removed []struct {
					Rule  string
					Files int64
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(must(t, "evidence", "show", strings.TrimSuffix(filepath.Base(files[0]), ".json"))), &image); err != nil {
		t.Fatal(err)
	}
	for _, i := range image.Predicate.Sanitised.Removed {
		if i.Rule == "host-keys" && i.Files > 0 && len(image.Predicate.Sanitised.Rules) == 64 {
			return
		}
	}
	t.Errorf("its evidence does not say that host keys were removed: %+v", image.Predicate)
}

// wantTar: the image's files as an archive, with the recipe's file and no secret.
func wantTar(t *testing.T, target string, secrets map[string]string) {
	t.Helper()
	dir := t.TempDir()
	archive, root := filepath.Join(dir, "root.tar.zst"), filepath.Join(dir, "root.tar")
	must(t, "export", target, "--format", "tar.zst", "-o", archive)
	tool(t, "zstd", "-q", "-d", archive, "-o", root)
	if text := tool(t, "tar", "-xOf", root, "./etc/motd"); text != "made by a recipe\n" {
		t.Errorf("etc/motd of the archive: %q", text)
	}
	if list := tool(t, "tar", "-tvf", root); !strings.Contains(list, " ./usr/bin/sudo\n") || !strings.Contains(list, "-rwsr-xr-x 0/0 ") {
		t.Errorf("the archive has %d files, and no sudo that is root's", strings.Count(list, "\n"))
	}
	found := textsIn(t, root, append(slices.Collect(maps.Values(secrets)), "made by a recipe"))
	for what, text := range secrets {
		if found[text] || !found["made by a recipe"] {
			t.Errorf("%s is in the archive, or the search finds nothing: %v", what, found)
		}
	}
}

// publishedDisk is the disk of a receipt in the local store's folder.
func publishedDisk(t *testing.T, receipt string) string {
	t.Helper()
	return publishedDiskIn(t, filepath.Join(os.Getenv("INGOT_HOME"), "data", "store"), receipt)
}

// publishedDiskIn is the disk of a receipt below a folder.
func publishedDiskIn(t *testing.T, folder, receipt string) string {
	t.Helper()
	var r struct {
		Subject   []struct{ Digest struct{ SHA256 string } }
		Predicate struct{ Disk string }
	}
	if err := json.Unmarshal([]byte(must(t, "evidence", "show", receipt)), &r); err != nil || len(r.Subject) != 1 {
		t.Fatalf("%v: %+v", err, r)
	}
	name := r.Predicate.Disk[strings.LastIndexByte(r.Predicate.Disk, '/')+1:]
	var disk string
	_ = filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == name {
			disk = path
		}
		return nil
	})
	if disk == "" || digestOf(t, disk) != r.Subject[0].Digest.SHA256 {
		t.Fatalf("%s is not in the store (%q), or is another file than the receipt's", name, disk)
	}
	return disk
}

// absent searches the disk's bytes as its guest reads them. A text that is there shows
// that the search finds one.
func absent(t *testing.T, disk string, secrets map[string]string) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "published.raw")
	if out, err := exec.Command("qemu-img", "convert", "-O", "raw", disk, raw).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found := textsIn(t, raw, append(slices.Collect(maps.Values(secrets)), "made by a recipe"))
	if !found["made by a recipe"] {
		t.Error("the recipe's file is not found, so the search finds nothing")
	}
	for what, text := range secrets {
		if found[text] {
			t.Errorf("%s is in the published disk", what)
		}
	}
}

// textsIn searches a file for texts, without its holes, and returns those that are there.
func textsIn(t *testing.T, file string, texts []string) map[string]bool {
	t.Helper()
	src, err := disk.OpenRaw(file)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	found := map[string]bool{}
	const step, longest = 8 << 20, 4 << 10
	buf := make([]byte, step+longest)
	for e, err := range src.Extents() {
		if err != nil {
			t.Fatal(err)
		}
		for at := e.Offset; at < e.Offset+e.Length; at += step {
			part := buf[:min(step+longest, src.Size()-at)] // a text may reach into the next step
			if _, err := src.ReadAt(part, at); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			for _, text := range texts {
				found[text] = found[text] || bytes.Contains(part, []byte(text))
			}
		}
	}
	return found
}

// TestImageOfRunning: the VM runs on while its disk is copied by its own QEMU, and its
// monitor is asked for nothing else. The copy gets a kernel of Ingot's.
func TestImageOfRunning(t *testing.T) {
	if os.Getenv("INGOT_E2E_SOAK") == "" {
		t.Skip("it takes long: INGOT_E2E_SOAK=1")
	}
	const name = "run"
	i := running(t)
	said := overhear(t, i)
	before := lives(t, i)
	refused(t, 2, "nosuch vm.kernel", "vm", "image", vm, "--name", name, "--kernel", "nosuch")
	stage(t, "image", func() { must(t, "vm", "image", vm, "--name", name, "--kernel", kernelTarget) })
	if after := lives(t, found(t, vm)); after != before {
		t.Errorf("it was\n%s\nand is\n%s", before, after)
	}
	commands := said()
	for _, c := range commands {
		if !slices.Contains([]string{"qmp_capabilities", "query-block", "drive-backup"}, c) {
			t.Errorf("its monitor was asked for %s", c)
		}
	}
	if !slices.Contains(commands, "drive-backup") {
		t.Errorf("its monitor was asked for %v only", commands)
	}
	r := rowOf(t, name)
	if r.Kernel.State != "passed" || r.Boots.State != "passed" || r.Published.State != "unknown" {
		t.Errorf("%+v", r)
	}
	var proof struct {
		Predicate struct{ KernelRelease string }
	}
	if err := json.Unmarshal([]byte(must(t, "evidence", "show", r.Boots.Evidence)), &proof); err != nil || !strings.Contains(proof.Predicate.KernelRelease, "-ingot-") {
		t.Errorf("%v, %+v", err, proof)
	}
	// a secret that people put somewhere stops the publish, by its name
	refused(t, 7, "image.leak /srv/live", "publish", name)
	if n := len(said()); n != len(commands) {
		t.Errorf("a publish of what there is asked the VM's monitor for %v", said()[len(commands):])
	}
}

// lives is what a restart would change: the boot id, and the system's services with the
// ticks at which they started.
func lives(t *testing.T, i lima.Instance) string {
	t.Helper()
	g := opened(t, i)
	defer g.Close()
	var out bytes.Buffer
	const script = `cat /proc/sys/kernel/random/boot_id
cat /proc/[0-9]*/stat 2>/dev/null | awk '$1 == 1 || $2 ~ /^\((systemd-journal|systemd-udevd|systemd-network|systemd-logind|dbus-daemon|agetty)\)$/ {print $1, $2, $22}' | sort -n`
	if err := g.Run(context.Background(), guest.Cmd{Argv: []string{"sh", "-c", script}, Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n < 6 {
		t.Fatalf("%d lines:\n%s", n, &out)
	}
	return out.String()
}

// overhear stands between QEMU's monitor and its clients; the function that it returns
// gives the commands that they sent.
func overhear(t *testing.T, i lima.Instance) func() []string {
	t.Helper()
	sock, moved := filepath.Join(i.Dir, "qmp.sock"), filepath.Join(i.Dir, "qmp.was")
	if err := os.Rename(sock, moved); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var commands []string
	t.Cleanup(func() {
		_ = l.Close()
		if err := os.Rename(moved, sock); err != nil {
			t.Error(err)
		}
	})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", moved)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() { _, _ = io.Copy(client, server); _ = client.Close() }()
			go func() {
				defer server.Close()
				for dec := json.NewDecoder(io.TeeReader(client, server)); ; {
					var m struct{ Execute string }
					if dec.Decode(&m) != nil {
						return
					}
					mu.Lock()
					commands = append(commands, m.Execute)
					mu.Unlock()
				}
			}()
		}
	}()
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(commands)
	}
}
