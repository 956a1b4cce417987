package family

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"ingot/backend/cause"
	"ingot/backend/guest"
)

// A work directory holds the requested scripts. Their files are read and taken, their
// output goes to the log. The directory is removed at the end unless Keep is set.
func TestWorkDirectory(t *testing.T) {
	scripts := fstest.MapFS{
		"scripts/make.sh":  {Data: []byte("printf '%s' \"$WORD\" > out\necho said; cat in; exit ${1:-0}\n")},
		"scripts/other.sh": {Data: []byte("exit 1\n")},
	}
	for _, keep := range []bool{false, true} {
		var log, also bytes.Buffer
		w := &Work{Guest: &guest.Local{WorkRoot: t.TempDir()}, Log: &log, Keep: keep}
		d, err := w.Open(t.Context(), "make", scripts, "make.sh")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(d.Path, "other.sh")); err == nil {
			t.Error("a script that was not asked for is there")
		}
		if err := d.Write(t.Context(), "in", []byte("put\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := d.Run(t.Context(), []string{"make.sh"}, Env("WORD", "hello"), &also); err != nil {
			t.Fatal(err)
		}
		if log.String() != "said\nput\n" || also.String() != log.String() {
			t.Errorf("log %q, also %q", log.String(), also.String())
		}
		if got, err := d.Read(t.Context(), "out"); err != nil || string(got) != "hello" {
			t.Errorf("%q, %v", got, err)
		}
		dst := filepath.Join(t.TempDir(), "taken")
		if err := d.Take(t.Context(), "out", dst); err != nil {
			t.Error(err)
		}
		if got, _ := os.ReadFile(dst); string(got) != "hello" {
			t.Errorf("taken: %q", got)
		}
		if err := d.Put(t.Context(), dst, "back"); err != nil {
			t.Error(err)
		}
		if got, err := d.Read(t.Context(), "back"); err != nil || string(got) != "hello" {
			t.Errorf("put: %q, %v", got, err)
		}
		err = d.Run(t.Context(), []string{"make.sh", "3"}, nil, nil)
		if cause.Of(err) != "guest.command-failed" || !strings.Contains(err.Error(), "make.sh in guest local: ") {
			t.Errorf("a script that fails: %v", err)
		}
		d.Close(t.Context())
		if _, err := os.Stat(d.Path); (err == nil) != keep {
			t.Errorf("keep %v: %v", keep, err)
		}
	}
}

// A missing script leaves no work directory.
func TestOpenOfAMissingScript(t *testing.T) {
	root := t.TempDir()
	w := &Work{Guest: &guest.Local{WorkRoot: root}, Log: &bytes.Buffer{}}
	if _, err := w.Open(t.Context(), "make", fstest.MapFS{}, "make.sh"); err == nil {
		t.Error("no error")
	}
	_ = filepath.WalkDir(root, func(p string, e fs.DirEntry, _ error) error {
		if !e.IsDir() || strings.Contains(e.Name(), "make") {
			t.Errorf("%s is left", p)
		}
		return nil
	})
}

// The cause is the one that a script printed, or that its tools' messages indicate; a
// shell's message counts only with the exit status for a missing program.
func TestExitCause(t *testing.T) {
	for _, c := range []struct {
		code int
		tail string
		want string
	}{
		{65, "ingot: image.leftover: /etc/machine-id is not empty", "image.leftover"},
		{65, "ingot: image.failed: there is no loader", "image.failed"},
		{1, "ingot: guest.no-root: this user is not root", "guest.no-root"},
		{1, "ingot: guest.no-loader: there is no depmod", "guest.no-loader"},
		{1, "sudo: a password is required", "guest.no-root"},
		{1, "cp: write error: No space left on device", "guest.no-space"},
		{127, "sh: 1: mmdebstrap: not found", "guest.tool-missing"},
		{2, "include/x.h: not found", "guest.command-failed"},
		{1, "unshare: unshare failed: Operation not permitted", "guest.no-userns"},
		{1, "newuidmap: open of uid_map failed", "guest.no-userns"},
		{2, "make: *** [Makefile:1] Error 2", "guest.command-failed"},
	} {
		if got := ExitCause(&guest.ExitError{Code: c.code, Tail: c.tail}); got != c.want {
			t.Errorf("%d, %q: %s, want %s", c.code, c.tail, got, c.want)
		}
	}
}
