//go:build e2e_lima

package lima

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ingot/backend/guest"
	"ingot/backend/guest/lima"
)

// exported is what `ingot vm export --json` says.
type exported struct {
	File, SHA256, Method, Why, Evidence string
	Leaks                               struct {
		Areas    []struct{ Name, FileSystem string }
		Findings []struct{ Rule, Severity, In, Path string }
	}
}

func export(t testing.TB, args ...string) exported {
	t.Helper()
	return exportOf(t, vm, args...)
}

func exportOf(t testing.TB, name string, args ...string) exported {
	t.Helper()
	began := time.Now()
	var out, errs bytes.Buffer
	cmd := exec.Command(os.Getenv("INGOT_E2E_BIN"), append([]string{"vm", "export", name, "--json"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("export %v: %v\n%s%s", args, err, &out, &errs)
	}
	var e exported
	if err := json.Unmarshal(out.Bytes(), &e); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s after %.1f s%s", e.Method, time.Since(began).Seconds(), e.Why)
	return e
}

// loadScript changes a file system's metadata without an end: small files made,
// renamed, linked and removed in many folders, and whole trees; on the disk too,
// as a guest that gets little of the processor would else keep it in its memory.
const loadScript = `mkdir -p /var/tmp/load; cd /var/tmp/load; echo up
i=0
while :; do
	i=$((i+1)); d=d$((i%40)); mkdir -p $d
	head -c $((i%9*3000)) /dev/zero | tr '\0' x > $d/f$i
	ln $d/f$i $d/l$i; mv $d/l$i $d/m$i; [ $((i%3)) = 0 ] || rm -f $d/f$i $d/m$i
	[ $((i%200)) != 0 ] || rm -rf d$((i/200%40))
	[ $((i%10)) != 0 ] || { cp -r /etc etc$i; rm -rf etc$((i-50)); sync -f .; }
done`

// underLoad runs f while the guest's file system is busy.
func underLoad(t testing.TB, i lima.Instance, f func()) {
	t.Helper()
	g, err := lima.Open(context.Background(), i)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	ctx, cancel := context.WithCancel(context.Background())
	up := make(began, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = g.Run(ctx, guest.Cmd{Argv: []string{"sudo", "sh", "-c", loadScript}, Stdout: up}) // ended by cancel
	})
	<-up
	f()
	cancel()
	wg.Wait()
}

// rootFS cuts the root file system, the largest partition, out of an image.
func rootFS(t testing.TB, image string) string {
	t.Helper()
	dir := t.TempDir()
	raw, fs := filepath.Join(dir, "disk.raw"), filepath.Join(dir, "root.img")
	tool(t, "qemu-img", "convert", "-O", "raw", image, raw)
	var table struct {
		PartitionTable struct {
			Partitions []struct{ Start, Size int64 }
		}
	}
	if err := json.Unmarshal([]byte(tool(t, "sfdisk", "--json", raw)), &table); err != nil {
		t.Fatal(err)
	}
	var start, size int64
	for _, p := range table.PartitionTable.Partitions {
		if p.Size > size {
			start, size = p.Start, p.Size
		}
	}
	tool(t, "dd", "if="+raw, "of="+fs, "bs=512", "skip="+strconv.FormatInt(start, 10), "count="+strconv.FormatInt(size, 10), "conv=sparse", "status=none")
	_ = os.Remove(raw)
	return fs
}

func tool(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// sound is e2fsck's word on the root file system. replay, for a copy like
// after a power cut, lets it write the journal back first, as a mount would.
func sound(t testing.TB, image string, replay bool) (string, bool) {
	t.Helper()
	fs := rootFS(t, image)
	defer os.Remove(fs)
	if replay {
		_ = exec.Command("e2fsck", "-E", "journal_only", "-p", fs).Run() // its code tells that it wrote
	}
	out, err := exec.Command("e2fsck", "-fn", fs).CombinedOutput()
	return string(out), err == nil
}

func wantSound(t testing.TB, image string) {
	t.Helper()
	if said, ok := sound(t, image, false); !ok {
		t.Errorf("e2fsck -fn:\n%s", said)
	}
}

// TestExport: the disk of the shared instance, running and stopped.
func TestExport(t *testing.T) {
	dir := t.TempDir()
	i := running(t)
	plant(t, i)
	t.Run("running under load", func(t *testing.T) {
		underLoad(t, i, func() {
			e := export(t, "-o", filepath.Join(dir, "running-amd64.qcow2"))
			if e.Method != "drive-backup frozen" {
				t.Errorf("taken: %s, %s", e.Method, e.Why)
			}
		})
		wantSound(t, filepath.Join(dir, "running-amd64.qcow2"))
	})
	t.Run("left as it was", func(t *testing.T) { untouched(t, i) })
	t.Run("monitor is taken", func(t *testing.T) { monitorTaken(t, i, dir) })
	t.Run("disk full", func(t *testing.T) { targetFull(t, i) })
	t.Run("cancelled", func(t *testing.T) { cancelled(t, i, dir) })
	plant(t, i) // the load has written over what was deleted
	stopped(t)
	var e exported
	t.Run("stopped", func(t *testing.T) {
		e = export(t, "-o", filepath.Join(dir, "stopped-amd64.qcow2"))
		if e.Method != "direct" {
			t.Errorf("taken: %s", e.Method)
		}
		tool(t, "qemu-img", "compare", found(t, vm).Disk, e.File)
		wantSound(t, e.File)
	})
	t.Run("leaks", func(t *testing.T) { leaks(t, e) })
	t.Run("boots", func(t *testing.T) { boots(t, e.File) })
	if left, _ := filepath.Glob(filepath.Join(dir, ".ingot-export-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// plant leaves secrets in the guest: a live file, and some deleted after they
// were on the disk, since the guest may write over any one of them.
func plant(t *testing.T, i lima.Instance) {
	g := opened(t, i)
	defer g.Close()
	script := `umask 077; rm -f /srv/live* /srv/gone*; ssh-keygen -q -t ed25519 -N "" -f /srv/live -C x
ssh-keygen -q -t rsa -b 2048 -N "" -f /srv/gone -C x
for n in $(seq 20); do cp /srv/gone /srv/gone$n; done; sync; rm /srv/gone*; sync`
	if err := g.Run(context.Background(), guest.Cmd{Argv: []string{"sudo", "sh", "-c", script}}); err != nil {
		t.Fatal(err)
	}
}

// leaks: the scan finds the instance's own secrets and those that were planted.
func leaks(t *testing.T, e exported) {
	type place struct{ rule, in, path string }
	have := map[place]bool{}
	for _, f := range e.Leaks.Findings {
		have[place{f.Rule, f.In, f.Path}] = true
		have[place{f.Rule, f.In, ""}] = true
		t.Logf("%s %s %s %s", f.Severity, f.Rule, f.In, f.Path)
	}
	for _, w := range []place{
		{"leak.ssh-host-key", "file", "/etc/ssh/ssh_host_ed25519_key"}, {"leak.authorized-keys", "file", ""}, {"leak.machine-id", "file", "/etc/machine-id"},
		{"leak.cloud-init", "file", ""}, {"leak.private-key", "file", "/srv/live"}, {"leak.private-key", "a deleted file", ""},
	} {
		if !have[w] {
			t.Errorf("not found: %+v", w)
		}
	}
	out, errs, code := ingot(t, "scan", e.File)
	if code != 7 || !strings.Contains(out, "/srv/live") || !strings.Contains(errs, "image.leak") {
		t.Errorf("ingot scan: exit code %d\n%s%s", code, out, errs)
	}
}

// boots is the boot proof of the export.
func boots(t *testing.T, file string) {
	began := time.Now()
	out, errs, code := ingot(t, "prove", file)
	if code != 0 || !strings.Contains(out, "passed") {
		t.Errorf("ingot prove: exit code %d\n%s%s", code, out, errs)
	}
	t.Logf("proved after %.0f s", time.Since(began).Seconds())
}

// untouched: the instance runs, nothing is frozen, no job is left.
func untouched(t *testing.T, before lima.Instance) {
	now := found(t, vm)
	if now.Status != lima.Running || now.Phase != lima.Ready || now.DriverPID != before.DriverPID {
		t.Errorf("%+v", now)
	}
	g := opened(t, now)
	defer g.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := g.Run(ctx, guest.Cmd{Argv: []string{"sudo", "sh", "-c", "echo x > /srv/written; sync; rm /srv/written"}}); err != nil {
		t.Errorf("it cannot write: %v", err)
	}
	m := talk(t, now)
	defer m.Close()
	if jobs := m.ask(t, "query-block-jobs"); jobs != `{"return": []}` {
		t.Errorf("jobs: %s", jobs)
	}
}

// monitorTaken: somebody else speaks to QEMU.
func monitorTaken(t *testing.T, i lima.Instance, dir string) {
	m := talk(t, i)
	refused(t, 8, "vm.busy", "vm", "export", vm, "-o", filepath.Join(dir, "busy.qcow2"))
	m.Close()
	if left, _ := filepath.Glob(filepath.Join(dir, "busy*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	untouched(t, i)
}

// targetFull: the disk fills while QEMU copies.
func targetFull(t *testing.T, i lima.Instance) {
	small := os.Getenv("INGOT_E2E_SMALL") // a file system of few MiB, which root has mounted
	if small == "" {
		t.Skip("only root mounts a small file system: INGOT_E2E_SMALL")
	}
	refused(t, 3, "home.no-space", "vm", "export", vm, "-o", filepath.Join(small, "x.qcow2"))
	if left, _ := os.ReadDir(small); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	untouched(t, i)
}

// cancelled: Ctrl-C while QEMU copies.
func cancelled(t *testing.T, i lima.Instance, dir string) {
	cmd := exec.Command(need(t, "INGOT_E2E_BIN"), "vm", "export", vm, "-o", filepath.Join(dir, "cut.qcow2"))
	errs, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 0, 4096)
	for b := make([]byte, 512); !bytes.Contains(said, []byte("QEMU is copying")); {
		n, err := errs.Read(b)
		said = append(said, b[:n]...)
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	_ = cmd.Process.Signal(os.Interrupt)
	_, _ = io.Copy(io.Discard, errs)
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("exit code %d", cmd.ProcessState.ExitCode())
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*cut*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	untouched(t, i)
}
