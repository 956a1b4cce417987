//go:build e2e

package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A disk that fills up inside each step: the step fails with its cause, or waits
// for room where the queue itself has none to go on; nothing half-made looks
// finished, and with room again the next build makes the very bytes of before. It
// needs root, for a file system of its own.
func TestL_FullDisk(t *testing.T) {
	if os.Getenv("INGOT_E2E_SOAK") == "" {
		t.Skip("part of make soak")
	}
	small := filepath.Join(work, "small")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "-t", "tmpfs", "-o", "size="+large+",mode=755", "none", small)
	t.Cleanup(func() { run(t, "umount", "-l", small) })
	home := filepath.Join(small, "home")
	env := append(environment(home), "INGOT_WORK="+filepath.Join(small, "guest-work"))
	if _, stderr, code := ingotWith(t, env, "build", lean); code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	before := outputDigests(t, home)
	for _, s := range spans {
		t.Run(s.step, func(t *testing.T) {
			stderr, code, waited := buildOnFullDisk(t, env, small, s.step)
			switch {
			case waited && code == 0:
				t.Logf("it waited for room, and went on")
			case code == 0:
				t.Fatalf("the %s step passed on a full disk\n%s", s.step, stderr)
			case strings.Contains(stderr, "internal error") || !strings.Contains(stderr, "no-space") && !strings.Contains(stderr, "no space left"):
				t.Errorf("exit %d\n%s", code, stderr)
			}
			if _, stderr, code := ingotWith(t, env, "build", lean); code != 0 {
				t.Fatalf("with room again: exit %d\n%s", code, stderr)
			}
			if after := outputDigests(t, home); !reflect.DeepEqual(before, after) {
				t.Errorf("outputs %v, before %v", after, before)
			}
		})
	}
}

// buildOnFullDisk makes the step necessary, starts it, and leaves the disk no
// room as soon as it has begun. A build that has not ended two minutes later gets
// room again.
func buildOnFullDisk(t *testing.T, env []string, disk, step string) (stderr string, code int, waited bool) {
	t.Helper()
	forget(t, filepath.Join(disk, "home"), lean, step)
	cmd := exec.Command(filepath.Join(root, "bin", "ingot"), "build", lean, "--json", "--until", step, "--force", step)
	cmd.Env = env
	var errOut strings.Builder
	cmd.Stderr = &errOut
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer resize(t, disk, large)
	var room atomic.Bool
	defer func() { waited = room.Load() }()
	for s := bufio.NewScanner(stdout); s.Scan(); {
		if strings.Contains(s.Text(), `"step-started"`) && strings.Contains(s.Text(), `"step":"`+step+`"`) {
			fill(t, disk)
			again := time.AfterFunc(2*time.Minute, func() { room.Store(true); resize(t, disk, large) })
			defer again.Stop()
		}
	}
	err = cmd.Wait()
	if exit, ok := err.(*exec.ExitError); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return errOut.String(), code, false // waited is set on the way out
}

// large is the size of the disk while it has room.
const large = "9g"

// resize gives the disk, a tmpfs, another size at once; false when more than that
// is on it.
func resize(t *testing.T, disk, size string) bool {
	t.Helper()
	out, err := exec.Command("mount", "-o", "remount,size="+size, disk).CombinedOutput()
	if err != nil && size == large {
		t.Errorf("remount: %v: %s", err, out)
	}
	return err == nil
}

// fill leaves a few pages of the disk, which others write to meanwhile.
func fill(t *testing.T, disk string) {
	t.Helper()
	for few := uint64(8); ; few *= 2 {
		var st syscall.Statfs_t
		if err := syscall.Statfs(disk, &st); err != nil {
			t.Fatal(err)
		}
		if resize(t, disk, strconv.FormatUint((st.Blocks-st.Bfree+few)*uint64(st.Bsize), 10)) {
			return
		}
		if few > 1<<16 {
			t.Fatal("the disk could not be filled")
		}
	}
}
