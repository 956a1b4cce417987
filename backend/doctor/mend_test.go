package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"ingot/backend"
)

// missingTool is a target whose compiler no computer has.
const missingTool = "apiVersion: ingot/v1\nkind: Target\nextends: debian-12-arm64\nlock: debian-12-arm64\nname: tool\nkernel: {crossCompile: nosuch-}\n"

// lacking is a home with a target that this computer lacks the compiler of, and a folder
// of programs that come before all others: none changes the computer, and each call is
// noted in the file calls.
func lacking(t *testing.T, apt string) (b *backend.Backend, bin string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the local guest needs Linux")
	}
	root := t.TempDir()
	t.Setenv("INGOT_HOME", root)
	t.Setenv("INGOT_KEYCHAIN", "off")
	t.Setenv("INGOT_LOCAL_GUEST", "")
	bin = filepath.Join(root, "bin")
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("CALLS", filepath.Join(root, "calls"))
	targets := filepath.Join(root, "config", "targets")
	if err := errors.Join(os.MkdirAll(targets, 0o700), os.MkdirAll(bin, 0o700), os.WriteFile(filepath.Join(targets, "tool.yaml"), []byte(missingTool), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mountpoint", "mount", "update-binfmts", "usermod", "touch"} {
		program(t, bin, name, "exit 0")
	}
	program(t, bin, "sudo", `[ "$1" = -n ] && shift`+"\nexec \"$@\"")
	program(t, bin, "apt-get", apt)
	b, err := backend.Open(backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return b, bin
}

func program(t *testing.T, bin, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\necho \""+name+" $*\" >>\"$CALLS\"\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}

func calls(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(os.Getenv("CALLS"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

func lacks(r Report, name string) bool {
	return slices.ContainsFunc(r.Missing(), func(c Check) bool { return c.Name == name })
}

// What this computer lacks is installed by the report's commands, and the report of
// afterwards has it.
func TestMend(t *testing.T) {
	b, bin := lacking(t, `[ "$1" = install ] || exit 0
echo "Unpacking"
printf '#!/bin/sh\n' >"${0%/*}/nosuch-gcc" && chmod +x "${0%/*}/nosuch-gcc"`)
	before, err := Examine(t.Context(), b, "tool")
	if err != nil || !lacks(before, "nosuch-gcc") || !before.CanMend() {
		t.Fatalf("%+v, %v", before, err)
	}
	var notes []string
	after, err := Mend(t.Context(), b, nil, Lines(func(line string) { notes = append(notes, line) }), "tool")
	if err != nil || lacks(after, "nosuch-gcc") {
		t.Errorf("%+v, %v", after, err)
	}
	if got := calls(t); !strings.Contains(got, "apt-get update\n") || !strings.Contains(got, "gcc-nosuch") {
		t.Errorf("called: %s", got)
	}
	if len(notes) < 3 || notes[0] != "+ apt-get update" || !slices.Contains(notes, "Unpacking") {
		t.Errorf("notes: %q", notes)
	}
	if _, err := os.Stat(filepath.Join(bin, "nosuch-gcc")); err != nil {
		t.Error(err)
	}
}

// A command that fails ends it: the error names the command, and the report is there.
func TestMendFails(t *testing.T) {
	b, _ := lacking(t, `echo "E: Unable to locate package gcc-nosuch"; [ "$1" = update ]`)
	var out strings.Builder
	rep, err := Mend(t.Context(), b, nil, &out, "tool")
	if err == nil || !strings.Contains(err.Error(), "apt-get install") || !lacks(rep, "nosuch-gcc") {
		t.Errorf("%+v, %v", rep, err)
	}
	if !strings.Contains(out.String(), "Unable to locate") {
		t.Errorf("out: %s", out.String())
	}
}

// Cancelling interrupts the command with all its children, and waits for its end.
func TestMendCancelled(t *testing.T) {
	b, _ := lacking(t, `trap 'kill "$!"; echo ended >>"$CALLS"; exit 1' INT
echo working
sleep 600 &
wait`)
	ctx, cancel := context.WithCancel(t.Context())
	working := Lines(func(line string) {
		if line == "working" {
			cancel()
		}
	})
	began := time.Now()
	_, err := Mend(ctx, b, nil, working, "tool")
	if !errors.Is(err, context.Canceled) || time.Since(began) > time.Minute {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	if got := calls(t); !strings.HasSuffix(got, "ended\n") {
		t.Errorf("called: %s", got)
	}
}

// If sudo needs a password and there is no terminal, no command is started.
func TestPassword(t *testing.T) {
	_, bin := lacking(t, "exit 0")
	program(t, bin, "sudo", `[ "$1" = -n ] && { echo "sudo: a password is required" >&2; exit 1; }; exec "$@"`)
	var want *PasswordError
	if err := install(t.Context(), "apt-get update", false, nil, io.Discard); !errors.As(err, &want) || want.Command != "apt-get update" || !strings.Contains(err.Error(), "ingot doctor --install") {
		t.Errorf("%v", err)
	}
	if got := calls(t); got != "sudo -n true\n" {
		t.Errorf("called: %s", got)
	}
	// with a terminal, sudo asks there
	if err := install(t.Context(), "apt-get update", false, strings.NewReader(""), io.Discard); err != nil || !strings.Contains(calls(t), "apt-get update") {
		t.Errorf("%v: %s", err, calls(t))
	}
	// and one that wants none is used without a terminal
	program(t, bin, "sudo", `[ "$1" = -n ] && shift; exec "$@"`)
	if err := install(t.Context(), "apt-get moo", false, nil, io.Discard); err != nil || !strings.Contains(calls(t), "apt-get moo") {
		t.Errorf("%v: %s", err, calls(t))
	}
}

// Builds that run in the forge VM: it is made by limactl, whose error reaches the caller.
func TestMendMakesForge(t *testing.T) {
	b, bin := lacking(t, "exit 0")
	t.Setenv("INGOT_LOCAL_GUEST", "off")
	t.Setenv("LIMA_HOME", filepath.Join(filepath.Dir(bin), "lima"))
	program(t, bin, "limactl", `case "$*" in
--version) echo limactl version 2.2.0 ;;
*) echo '{"level":"fatal","msg":"there is no disk image"}' >&2; exit 1 ;;
esac`)
	var notes []string
	rep, err := Mend(t.Context(), b, nil, Lines(func(line string) { notes = append(notes, line) }), "tool")
	if err == nil || !strings.Contains(err.Error(), "there is no disk image") || !lacks(rep, "forge VM") || !rep.CanMend() {
		t.Errorf("%+v, %v", rep, err)
	}
	if !slices.ContainsFunc(notes, func(n string) bool { return strings.HasPrefix(n, "making the forge VM") }) || !strings.Contains(calls(t), "create") {
		t.Errorf("notes %q, calls %s", notes, calls(t))
	}
}

func TestLines(t *testing.T) {
	var got []string
	w := Lines(func(line string) { got = append(got, line) })
	for _, part := range []string{"on", "e\ntwo\r\n", "10 %\r", "20 %\r\n\n  \n", strings.Repeat("x", 3*lineLimit), "y\nlast"} {
		if n, err := io.WriteString(w, part); err != nil || n != len(part) {
			t.Fatalf("%d, %v", n, err)
		}
	}
	want := []string{"one", "two", "10 %", "20 %", strings.Repeat("x", lineLimit)}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}
}
