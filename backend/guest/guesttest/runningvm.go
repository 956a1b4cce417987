package guesttest

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// RunningVM makes a Lima store with one instance of a driver, like qemu, that counts as
// running, by its pid files and its host agent's socket, and a limactl that is this shell
// script: it gets the verb as $1 and the instance's folder as $dir. It returns the
// instance's name and folder. LIMA_HOME and PATH are those of the test.
func RunningVM(t *testing.T, driver, script string) (name, dir string) {
	t.Helper()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("there is no setsid(1), which util-linux brings")
	}
	root, err := os.MkdirTemp("", "vm-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	dir = filepath.Join(root, "lima", "one")
	for file, text := range map[string]string{
		filepath.Join(dir, "lima.yaml"):       "vmType: " + driver + "\narch: x86_64\n",
		filepath.Join(dir, "disk"):            "",
		filepath.Join(root, "bin", "limactl"): "#!/bin/sh\n[ \"$1\" = --version ] && { echo limactl version 2.2.0; exit 0; }\nshift 2\ndir=" + dir + "\n" + script,
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	for _, pid := range []string{"ha.pid", driver + ".pid"} {
		cmd := exec.Command("sh", "-c", "while :; do sleep 1; done", dir) // the folder in the arguments identifies it as the instance's process
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
		if err := os.WriteFile(filepath.Join(dir, pid), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", filepath.Join(dir, "ha.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	t.Setenv("LIMA_HOME", filepath.Join(root, "lima"))
	t.Setenv("PATH", filepath.Join(root, "bin")+":/usr/bin:/bin")
	return "one", dir
}
