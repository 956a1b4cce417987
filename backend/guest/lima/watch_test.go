package lima

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestWatch changes a store, and waits until each change is reported.
func TestWatch(t *testing.T) {
	base := store(t, nil)
	s := Store{filepath.Join(base.Dir, "deep", "lima")} // not created yet
	ctx, cancel := context.WithCancel(context.Background())
	news := make(chan string, 100)
	done := make(chan error, 1)
	go func() {
		done <- s.Watch(ctx, func(list []Instance, err error) {
			var all []string
			for _, i := range list {
				all = append(all, i.Name+"="+i.Status.String()+string(i.Phase)+strconv.Itoa(i.CPUs))
			}
			news <- strings.Join(all, " ")
		})
	}()
	await := func(what, want string) {
		t.Helper()
		last := "nothing"
		for {
			select {
			case last = <-news:
				if last == want {
					return
				}
			case <-time.After(time.Minute):
				t.Fatalf("%s: %q was last told, want %q", what, last, want)
			}
		}
	}
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(s.Dir, "vm", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	await("no store", "")
	write("lima.yaml", sized)
	await("made", "vm=Stopped2")
	write("lima.yaml", strings.Replace(sized, "cpus: 2", "cpus: 3", 1))
	await("edited", "vm=Stopped3")
	agent, err := net.Listen("unix", filepath.Join(s.Dir, "vm", "ha.sock"))
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 100)
	go func() {
		for {
			c, err := agent.Accept()
			if err != nil {
				close(conns)
				return
			}
			conns <- c
		}
	}()
	process := own(t, filepath.Join(s.Dir, "vm"))
	write("qemu.pid", process)
	write("ha.pid", process)
	await("started", "vm=Runningstarting3")
	write("ha.stdout.log", `{"status":{"running":true}}`+"\n")
	await("ready", "vm=Runningready3")
	// the host agent is killed: its files remain
	agent.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := agent.Close(); err != nil {
		t.Fatal(err)
	}
	for c := range conns {
		_ = c.Close()
	}
	await("killed", "vm=Broken3")
	if err := os.RemoveAll(filepath.Join(s.Dir, "vm")); err != nil {
		t.Fatal(err)
	}
	await("deleted", "")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A host agent that is killed before it listens leaves no connection that ends and no
// file that changes.
func TestWatchStarting(t *testing.T) {
	s := store(t, map[string]string{"vm/lima.yaml": sized})
	dir := filepath.Join(s.Dir, "vm")
	agent := exec.Command("sh", "-c", "read x; :", dir)
	in, err := agent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() { _, _ = in.Close(), agent.Wait() })
	defer end()
	if err := os.WriteFile(filepath.Join(dir, "ha.pid"), []byte(strconv.Itoa(agent.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var told []Status
	_ = s.Watch(ctx, func(list []Instance, err error) {
		if err != nil || len(list) != 1 {
			t.Errorf("%v, %v", list, err)
			cancel()
			return
		}
		told = append(told, list[0].Status)
		if list[0].Status == Broken {
			go end()
		} else {
			cancel()
		}
	})
	if !slices.Equal(told, []Status{Broken, Stopped}) {
		t.Errorf("told %v, want broken, then stopped", told)
	}
}
