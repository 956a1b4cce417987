//go:build e2e_lima

package lima

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ingot/backend/guest"
	"ingot/backend/guest/guesttest"
	"ingot/backend/guest/lima"
)

// compare holds our list against `limactl list --json`.
func compare(t *testing.T) {
	t.Helper()
	out, err := exec.Command("limactl", "--tty=false", "list", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[string]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var i struct {
			Name, Dir, Status, VMType, Arch string
			CPUs, SSHLocalPort              int
			Memory, Disk                    uint64
			HostAgentPID, DriverPID         int
			LimaVersion, SSHAddress         string
			Protected                       bool
		}
		if err := dec.Decode(&i); err != nil {
			t.Fatal(err)
		}
		arch := map[string]string{"x86_64": "amd64", "aarch64": "arm64"}[i.Arch]
		addr := ""
		if i.SSHLocalPort != 0 { // 1.2 knows none of a stopped instance; we read its ssh.config
			addr = net.JoinHostPort(i.SSHAddress, strconv.Itoa(i.SSHLocalPort))
		}
		theirs[i.Name] = fmt.Sprint(i.Dir, i.Status, i.VMType, arch, i.CPUs, i.Memory, i.Disk, i.HostAgentPID, i.DriverPID, strings.TrimPrefix(i.LimaVersion, "v"), addr, i.Protected)
	}
	list, err := lima.Store{}.List(context.Background())
	if err != nil || len(list) != len(theirs) {
		t.Fatalf("we list %d, limactl %d, %v", len(list), len(theirs), err)
	}
	for _, i := range list {
		if strings.HasPrefix(i.Version, "1.") && i.Status != lima.Running {
			i.SSHAddr = ""
		}
		if ours := fmt.Sprint(i.Dir, i.Status, i.VMType, i.Arch, i.CPUs, i.MemBytes, i.DiskBytes, i.HostAgentPID, i.DriverPID, i.Version, i.SSHAddr, i.Protected); ours != theirs[i.Name] {
			t.Errorf("%s:\n   ours %s\nlimactl %s", i.Name, ours, theirs[i.Name])
		}
	}
}

// TestVM goes through an instance's life; its parts build on each other.
func TestVM(t *testing.T) {
	create(t)
	t.Run("names and templates", names)
	t.Run("listed as limactl lists", compare)
	watched := watch(t)
	t.Run("two Ingots start it", startTwice)
	i := running(t)
	t.Run("watched", watched)
	t.Run("listed while it runs", compare)
	t.Run("start again is nothing", func(t *testing.T) { must(t, "vm", "start", vm) })
	t.Run("guest", func(t *testing.T) {
		guesttest.Run(t, func(t *testing.T) guest.Guest { return opened(t, i) })
	})
	t.Run("a build in it says what it lacks", func(t *testing.T) {
		refused(t, 3, "guest.tool-missing bison", "build", "--guest", "lima:"+vm, tinyTarget, "--until", "kernel")
		refused(t, 2, "lima:none", "build", "--guest", "lima:none", tinyTarget, "--until", "kernel")
	})
	t.Run("session lost", sessionLost)
	t.Run("disk full", diskFull)
	t.Run("shell", shell)
	t.Run("refused while it runs", func(t *testing.T) {
		if i := found(t, vm); !strings.HasPrefix(i.Version, "1.") { // 1.2 clones nothing: cloneAndDelete
			refused(t, 2, "lima.running", "vm", "clone", vm, "copy")
		}
		refused(t, 2, "lima.running", "vm", "delete", vm, "--yes", vm)
	})
	stopped(t)
	t.Run("stop again is nothing", func(t *testing.T) { must(t, "vm", "stop", vm) })
	t.Run("refused while it is stopped", func(t *testing.T) {
		refused(t, 2, "lima.not-running", "vm", "shell", vm, "true")
	})
	t.Run("clone and delete", cloneAndDelete)
	t.Run("killed", killed)
}

// startTwice: of two that start the instance, one waits for the other, and both
// end well.
func startTwice(t *testing.T) {
	if found(t, vm).Status == lima.Running {
		t.Skip("it runs already")
	}
	var said [2]string
	var wg sync.WaitGroup
	for n := range said {
		wg.Go(func() {
			_, errs, code := ingot(t, "vm", "start", vm)
			if said[n] = errs; code != 0 {
				t.Errorf("exit code %d\n%s", code, errs)
			}
		})
	}
	wg.Wait()
	if n := strings.Count(said[0]+said[1], "another Ingot process is changing "+vm); n != 1 {
		t.Errorf("%d of them waited:\n%s\n%s", n, said[0], said[1])
	}
}

func names(t *testing.T) {
	refused(t, 2, "lima.no-instance vm", "vm", "start", "other")
	refused(t, 2, "lima.bad-name", "vm", "create", "a b", template(t))
	refused(t, 2, "lima.exists", "vm", "create", vm, template(t))
	refused(t, 2, "lima.template", "vm", "create", "new", "/no/such.yaml")
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("images: [{location: /no/such/image}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, 1, "lima.failed", "vm", "create", "new", bad)
	if _, err := (lima.Store{}).Instance("new"); err == nil { // what limactl left of it
		must(t, "vm", "delete", "new", "--yes", "new")
	}
}

func opened(t *testing.T, i lima.Instance) guest.Guest {
	t.Helper()
	g, err := lima.Open(context.Background(), i)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// watch follows the shared instance's start; the function that it returns wants
// to have seen it pass from stopped through starting to ready.
func watch(t *testing.T) func(*testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	seen := make(chan string, 100)
	done := make(chan error, 1)
	go func() {
		done <- lima.Store{}.Watch(ctx, func(list []lima.Instance, err error) {
			for _, i := range list {
				if i.Name == vm {
					seen <- fmt.Sprint(i.Status, i.Phase)
				}
			}
		})
		close(seen)
	}()
	first := <-seen
	return func(t *testing.T) {
		if first != "Stopped" { // it ran already
			cancel()
			t.Skipf("the instance was %s", first)
		}
		all := []string{first}
		for s := range seen {
			if all = append(all, s); s == "Runningready" {
				cancel()
			}
		}
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if got := strings.Join(all, " "); !strings.Contains(got, "Runningstarting") || !strings.Contains(got, "Runningready") {
			t.Errorf("seen: %s", got)
		}
	}
}

// sessionLost: the other end of the connection dies under a command.
func sessionLost(t *testing.T) {
	g, other := opened(t, found(t, vm)), opened(t, found(t, vm))
	defer func() { _, _ = g.Close(), other.Close() }()
	began := make(began, 1)
	done := make(chan error, 1)
	go func() {
		done <- g.Run(context.Background(), guest.Cmd{Argv: []string{"sh", "-c", "echo up; sleep 600"}, Stdout: began})
	}()
	<-began
	_ = other.Run(context.Background(), guest.Cmd{Argv: []string{"sh", "-c", `pkill -KILL -u "$(id -u)" -x sshd`}}) // it dies with its own session
	var lost *guest.LostError
	select {
	case err := <-done:
		if !errors.As(err, &lost) || !strings.Contains(err.Error(), "lima:"+vm) {
			t.Errorf("%v, want LostError of lima:%s", err, vm)
		}
	case <-time.After(time.Minute):
		t.Fatal("Run does not notice that the session is gone")
	}
}

type began chan struct{}

func (b began) Write(p []byte) (int, error) {
	select {
	case b <- struct{}{}:
	default:
	}
	return len(p), nil
}

// diskFull: what does not fit fails with the guest's own word for it, and
// leaves no half file.
func diskFull(t *testing.T) {
	ctx := context.Background()
	g := opened(t, found(t, vm))
	defer g.Close()
	sh := func(script string) {
		t.Helper()
		if err := g.Run(ctx, guest.Cmd{Argv: []string{"sudo", "sh", "-c", script}}); err != nil {
			t.Fatal(err)
		}
	}
	sh("mkdir -p /mnt/small && mount -t tmpfs -o size=1m,mode=1777 tmpfs /mnt/small")
	defer sh("umount /mnt/small")
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, bytes.Repeat([]byte("x"), 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.Put(ctx, big, "/mnt/small/big", 0o644); err == nil || !strings.Contains(err.Error(), "No space left") {
		t.Errorf("put into a full disk: %v", err)
	}
	sh("[ ! -e /mnt/small/big ]")
}

func shell(t *testing.T) {
	if out := must(t, "vm", "shell", vm, "uname", "-r"); !strings.Contains(out, "cloud-amd64") {
		t.Errorf("uname says %q", out)
	}
	if _, _, code := ingot(t, "vm", "shell", vm, "sh", "-c", "exit 7"); code != 7 {
		t.Errorf("exit code %d, want the command's 7", code)
	}
}

func cloneAndDelete(t *testing.T) {
	if l, err := lima.Find(context.Background(), lima.Store{}); err != nil || l.Major < 2 {
		refused(t, 3, "lima.too-old", "vm", "clone", vm, "copy") // its clones die with their original
		must(t, "vm", "create", "copy", template(t))
	} else {
		must(t, "vm", "clone", vm, "copy")
		refused(t, 2, "lima.exists", "vm", "clone", vm, "copy")
	}
	if i, of := found(t, "copy"), found(t, vm); i.Status != lima.Stopped || i.Disk == "" || (i.Base == "") != (of.Base == "") || i.Disk == of.Disk {
		t.Errorf("%+v", i)
	}
	refused(t, 2, "--yes", "vm", "delete", "copy")
	refused(t, 2, "not", "vm", "delete", "copy", "--yes", vm)
	if err := exec.Command("limactl", "--tty=false", "protect", "copy").Run(); err != nil {
		t.Fatal(err)
	}
	refused(t, 2, "lima.protected", "vm", "delete", "copy", "--yes", "copy")
	if err := exec.Command("limactl", "--tty=false", "unprotect", "copy").Run(); err != nil {
		t.Fatal(err)
	}
	must(t, "vm", "delete", "copy", "--yes", "copy")
	refused(t, 2, "lima.no-instance", "vm", "delete", "copy", "--yes", "copy")
}

// killed: a start that is cancelled leaves the instance starting; a host agent
// that is killed leaves its pid file, and a watcher notices all the same; what
// is left can be stopped by force.
func killed(t *testing.T) {
	start := exec.Command(need(t, "INGOT_E2E_BIN"), "vm", "start", vm)
	if err := start.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "starting", func(i lima.Instance) bool { return i.Status == lima.Running && i.Phase == lima.Starting })
	if err := start.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := start.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("a cancelled start: %v, want exit code 130", err)
	}
	i := found(t, vm)
	if i.Status != lima.Running {
		t.Fatalf("after a cancelled start: %s %s", i.Status, i.Problem)
	}
	if _, err := lima.Open(context.Background(), i); err == nil || !strings.Contains(err.Error(), "starting") {
		t.Errorf("open while it starts: %v", err)
	}
	noticed := make(chan lima.Instance, 1)
	go func() {
		noticed <- until(t, "broken or stopped", func(i lima.Instance) bool { return i.Status == lima.Broken || i.Status == lima.Stopped })
	}()
	if err := syscall.Kill(i.HostAgentPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	broken := <-noticed
	t.Logf("killed host agent: %s: %s", broken.Status, broken.Problem)
	if broken.Status == lima.Broken {
		refused(t, 1, "lima.broken stop --force", "vm", "start", vm)
		must(t, "vm", "stop", "--force", vm)
	}
	if i := found(t, vm); i.Status != lima.Stopped {
		t.Errorf("%s: %s", i.Status, i.Problem)
	}
}

// until watches the shared instance until want holds. Whatever goroutine calls
// it, the test waits for its answer.
func until(t *testing.T, what string, want func(lima.Instance) bool) lima.Instance {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var last lima.Instance
	found := false
	_ = lima.Store{}.Watch(ctx, func(list []lima.Instance, _ error) {
		for _, i := range list {
			if i.Name == vm && !found {
				if last = i; want(i) {
					found = true
					cancel()
				}
			}
		}
	})
	if !found {
		t.Errorf("not %s within a minute: %s %s %s", what, last.Status, last.Phase, last.Problem)
	}
	return last
}
