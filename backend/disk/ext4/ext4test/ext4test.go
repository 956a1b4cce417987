// Package ext4test runs the tools that tests of file systems are made with. It
// is for tests alone.
package ext4test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// Tool runs one of e2fsprogs or qemu-utils and returns what it says; a test
// without it is skipped. e2fsck may end with 1: it has mended something.
func Tool(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	name, err := exec.LookPath(args[0])
	if err != nil {
		if name, err = exec.LookPath("/usr/sbin/" + args[0]); err != nil {
			t.Skipf("%s is not installed: apt-get install e2fsprogs qemu-utils", args[0])
		}
	}
	cmd := exec.Command(name, args[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || args[0] != "e2fsck" || exit.ExitCode() > 1) {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}
