package forge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"ingot/backend/cause"
	"ingot/backend/guest/lima"
	"ingot/backend/home"
)

// forges is a store with a limactl that makes, starts, stops and deletes the forge VM.
type forges struct {
	t     *testing.T
	store lima.Store
	log   string
}

// newForges makes one; more is shell code that runs before each verb.
func newForges(t *testing.T, more string) *forges {
	t.Helper()
	root, err := os.MkdirTemp("", "forge-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	l, err := net.Listen("unix", filepath.Join(root, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	f := &forges{t: t, store: lima.Store{Dir: filepath.Join(root, "lima")}, log: filepath.Join(root, "log")}
	running := exec.Command("sh", "-c", "while :; do sleep 1; done", filepath.Join(f.store.Dir, Name)) // the argument identifies it as the instance's
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Process.Kill(); _ = running.Wait() })
	script := fmt.Sprintf(`#!/bin/sh
[ "$1" = --version ] && { echo "limactl version 2.2.0"; exit 0; }
shift 2
verb=$1 dir=%[1]s/ingot-forge
case $verb in shell) shift 3; echo "shell $*" >>%[2]s ;; *) echo "$verb" >>%[2]s ;; esac
%[5]s
case $verb in
create) for template; do :; done; mkdir -p $dir; cp "$template" $dir/lima.yaml ;;
start) for p in ha qemu; do echo %[3]d >$dir/$p.pid; done; ln -sf %[4]s/sock $dir/ha.sock; echo '{"status":{"running":true}}' >$dir/ha.stdout.log ;;
stop) rm $dir/*.pid ;;
delete) rm -r $dir ;;
esac
`, f.store.Dir, f.log, running.Process.Pid, root, more)
	bin := filepath.Join(root, "bin")
	if err := errors.Join(os.Mkdir(bin, 0o755), os.WriteFile(filepath.Join(bin, "limactl"), []byte(script), 0o755)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	return f
}

// process is the forge VM as a process of its own sees it.
func (f *forges) process(idle string) *VM {
	return &VM{Store: f.store, Dir: f.t.TempDir(), Config: func() home.ForgeConfig { return home.ForgeConfig{Idle: idle} },
		Log: func(what string, args ...any) { f.t.Log(append([]any{what}, args...)...) }}
}

func (f *forges) use(v *VM) (release func()) {
	f.t.Helper()
	release, err := v.Use(f.t.Context(), func(string) {})
	if err != nil {
		f.t.Fatal(err)
	}
	return release
}

// calls returns limactl's calls until now, and forgets them.
func (f *forges) calls() string {
	f.t.Helper()
	b, err := os.ReadFile(f.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		f.t.Fatal(err)
	}
	_ = os.Remove(f.log)
	return strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", ", ")
}

// idle waits until the forge VM of a process has stopped.
func (f *forges) idle(v *VM) {
	f.t.Helper()
	for end := time.Now().Add(time.Minute); v.Busy(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatal("it goes on")
		}
	}
}

const trimmed = "shell sudo -n fstrim --all, stop"

// The forge VM is made and started for its first user, and trimmed and stopped some time
// after the last one.
func TestForge(t *testing.T) {
	f := newForges(t, "")
	v := f.process("20ms")
	first := f.use(v)
	second := f.use(v)
	first()
	first() // twice is once
	time.Sleep(60 * time.Millisecond)
	if got := f.calls(); got != "create, start" || !v.Busy() {
		t.Errorf("two users: %s", got)
	}
	second()
	f.idle(v)
	if got := f.calls(); got != trimmed {
		t.Errorf("after the last one: %s", got)
	}
	f.use(v)()
	f.idle(v)
	if got := f.calls(); got != "start, "+trimmed {
		t.Errorf("again: %s", got)
	}
}

// While it is idle it may be used again without a start. Close stops it at once, and
// Adopt what another process left.
func TestIdle(t *testing.T) {
	f := newForges(t, "")
	v := f.process("1h")
	f.use(v)()
	f.use(v)()
	if got := f.calls(); got != "create, start" {
		t.Errorf("used again: %s", got)
	}
	if err := v.Close(t.Context()); err != nil || f.calls() != trimmed || v.Busy() {
		t.Errorf("closed: %v", err)
	}
	if err := v.Close(t.Context()); err != nil || f.calls() != "" {
		t.Errorf("closed again: %v", err)
	}
	f.use(v) // a process that is killed
	f.calls()
	next := f.process("20ms")
	next.Adopt()
	time.Sleep(60 * time.Millisecond)
	if got := f.calls(); got != "" {
		t.Errorf("adopted from a process that lives: %s", got)
	}
	_ = v.held.Close() // as the end of the process does
	next.Adopt()
	f.idle(next)
	if got := f.calls(); got != trimmed {
		t.Errorf("adopted: %s", got)
	}
}

// A process does not stop the forge VM while another one uses it.
func TestTwoProcesses(t *testing.T) {
	f := newForges(t, "")
	a, b := f.process("20ms"), f.process("20ms")
	mine, theirs := f.use(a), f.use(b)
	mine()
	f.idle(a)
	if got := f.calls(); got != "create, start" {
		t.Errorf("in use: %s", got)
	}
	theirs()
	f.idle(b)
	if got := f.calls(); got != trimmed {
		t.Errorf("not in use any more: %s", got)
	}
}

// A forge VM that could not be made, or whose making was cancelled, leaves nothing.
func TestHalfMade(t *testing.T) {
	f := newForges(t, `case $verb in create) mkdir -p $dir; echo 'vmType: qemu' >$dir/lima.yaml; echo '{"level":"fatal","msg":"no such image"}' >&2; exit 1;; esac`)
	v := f.process("1h")
	if _, err := v.Use(t.Context(), func(string) {}); cause.IDOf(err) != "lima.failed" || !strings.Contains(err.Error(), "no such image") {
		t.Errorf("%v", err)
	}
	if got := f.calls(); got != "create, delete" || v.Busy() {
		t.Errorf("limactl's calls: %s", got)
	}
	f = newForges(t, `case $verb in create) mkdir -p $dir; echo 'vmType: qemu' >$dir/lima.yaml; sleep 60;; esac`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat(filepath.Join(f.store.Dir, Name, "lima.yaml")); err == nil {
				break
			}
		}
		cancel()
	}()
	if _, err := f.process("1h").Use(ctx, func(string) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if got := f.calls(); got != "create, delete" {
		t.Errorf("limactl's calls: %s", got)
	}
	if list, err := os.ReadDir(f.store.Dir); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// The template has no mounts, and takes a part of the computer.
func TestTemplate(t *testing.T) {
	for name, c := range map[string]struct {
		config home.ForgeConfig
		arch   string
		memory uint64
		want   []string
	}{
		"a small Mac": {home.ForgeConfig{}, "arm64", 8 << 30, []string{"base: template://_images/debian-12", "arch: aarch64", "cpus: 4", "memory: 4GiB", "disk: 40GiB", "mounts: []", "user: false"}},
		"a large one": {home.ForgeConfig{}, "arm64", 128 << 30, []string{"memory: 6GiB"}},
		"unknown":     {home.ForgeConfig{}, "amd64", 0, []string{"memory: 2GiB", "arch: x86_64"}},
		"configured":  {home.ForgeConfig{Image: "/x/y.qcow2", Digest: "sha256:ab", CPUs: 2, Memory: "3GiB", Disk: "9GiB"}, "amd64", 1, []string{"location: /x/y.qcow2", "digest: sha256:ab", "cpus: 2", "memory: 3GiB", "disk: 9GiB"}},
	} {
		text, err := template(c.config, c.arch, 4, c.memory)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range c.want {
			if !strings.Contains(string(text), w) {
				t.Errorf("%s: without %q:\n%s", name, w, text)
			}
		}
		if strings.Contains(string(text), "base:") == (c.config.Image != "") {
			t.Errorf("%s: base and image:\n%s", name, text)
		}
	}
	if _, err := template(home.ForgeConfig{}, "riscv64", 1, 1); err == nil || runtime.GOARCH == "riscv64" {
		t.Errorf("%v", err)
	}
}
