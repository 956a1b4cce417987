package main

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ingot": main})
}

// The scripts under testdata are one behaviour each: what is typed, what is
// said, and the exit code.
func TestScripts(t *testing.T) {
	logs, err := filepath.Abs("../../backend/cause/testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("INGOT_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("INGOT_KEYCHAIN", "off")
			e.Setenv("INGOT_OWNER_IDLE", "5s")
			e.Setenv("LOGS", logs)
			e.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(e.WorkDir, "none"))
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "mounts": // a file system of a script's own
				return exec.Command("unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt").Run() == nil, nil
			case "tools": // what a build needs
				return exec.Command("ingot", "doctor", "debian-12-arm64").Run() == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"code": code, "listen": listen, "freeport": freePort, "await": await},
	})
}

// code WANT PROGRAM ARGS… runs a program and compares its exit code.
func code(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: code WANT PROGRAM ARGS…")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		if exit, ok := err.(interface{ ExitCode() int }); ok {
			got = strconv.Itoa(exit.ExitCode())
		} else {
			ts.Fatalf("%v", err)
		}
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// listen VAR holds a port until the script ends and puts it into VAR; whoever
// connects is hung up on.
func listen(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: listen VAR")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	ts.Setenv(args[0], portOf(l))
}

// freePort VAR puts a port that nobody listens on into VAR.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: freeport VAR")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], portOf(l))
	ts.Check(l.Close())
}

func portOf(l net.Listener) string { return strconv.Itoa(l.Addr().(*net.TCPAddr).Port) }

// await URL waits until the address can be read: a server in the background
// says nothing to a script when it is ready.
func await(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: await URL")
	}
	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Second} // loopback: no proxy
	var last error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		resp, err := client.Get(args[0])
		if err == nil {
			err = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		last = err
	}
	ts.Fatalf("%s cannot be read: %v", args[0], last)
}
