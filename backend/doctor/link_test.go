package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// app is a folder with the programs of an app.
func app(t *testing.T, dir string) (program string) {
	t.Helper()
	for _, name := range []string{"ingot", "ingot-app"} {
		file(t, filepath.Join(dir, name))
	}
	return filepath.Join(dir, "ingot")
}

func file(t *testing.T, path string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
}

// The link is made once, in the folder that the shell looks in, and found afterwards; one
// to an app that was moved is replaced.
func TestLink(t *testing.T) {
	root := t.TempDir()
	program := app(t, filepath.Join(root, "Ingot.app", "Contents", "MacOS"))
	local, system := filepath.Join(root, "home", ".local", "bin"), filepath.Join(root, "usr", "local", "bin")
	if err := os.MkdirAll(system, 0o755); err != nil {
		t.Fatal(err)
	}
	folders := []string{local, system}
	for name, c := range map[string]struct {
		path   []string
		file   string
		inPath bool
	}{
		"neither in PATH":          {[]string{"/usr/bin"}, local, false},
		"the second in PATH":       {[]string{"", "/usr/bin", system + "/"}, system, true},
		"the first is not there":   {[]string{local, system}, system, true},
		"only the first, not made": {[]string{local}, local, true},
	} {
		if l := FindLink(program, folders, c.path); l.File != filepath.Join(c.file, "ingot") || l.InPath != c.inPath || l.Done || l.Problem != "" {
			t.Errorf("%s: %+v", name, l)
		}
	}
	l := FindLink(program, folders, nil)
	if err := l.Make(); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(filepath.Join(local, "ingot")); err != nil || to != program {
		t.Errorf("%q, %v", to, err)
	}
	if l = FindLink(program, folders, []string{system}); !l.Done || l.InPath || l.File != filepath.Join(local, "ingot") || l.Make() != nil {
		t.Errorf("afterwards: %+v", l)
	}
	if left, err := os.ReadDir(local); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
	// the app is moved
	moved := filepath.Join(root, "Applications", "Ingot.app")
	if err := errors.Join(os.MkdirAll(filepath.Dir(moved), 0o755), os.Rename(filepath.Join(root, "Ingot.app"), moved)); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(moved, "Contents", "MacOS", "ingot")
	if l = FindLink(program, folders, nil); l.Done || l.Problem != "" || l.Make() != nil {
		t.Errorf("moved: %+v", l)
	}
	if l = FindLink(program, folders, nil); !l.Done {
		t.Errorf("moved, afterwards: %+v", l)
	}
	// a second app
	if l = FindLink(app(t, filepath.Join(root, "other")), folders, nil); l.Done || l.Problem != "" {
		t.Errorf("another app: %+v", l)
	}
	// one whose folder is in PATH needs no link
	if l = FindLink(program, folders, []string{filepath.Dir(program)}); !l.Done || !l.InPath || l.File != program {
		t.Errorf("in PATH: %+v", l)
	}
}

// What is no link of an app is not replaced, even if it comes between looking and making.
func TestLinkRefuses(t *testing.T) {
	root := t.TempDir()
	program := app(t, filepath.Join(root, "app"))
	for name, prepare := range map[string]func(at string){
		"a program": func(at string) { file(t, at) },
		"a folder":  func(at string) { file(t, filepath.Join(at, "x")) },
		"another's link": func(at string) {
			file(t, filepath.Join(root, "Cellar", "ingot"))
			link(t, filepath.Join(root, "Cellar", "ingot"), at)
		},
		"a link to other names": func(at string) { link(t, filepath.Join(root, "gone", "busybox"), at) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			before := FindLink(program, []string{dir}, nil)
			if before.Problem != "" {
				t.Fatal(before.Problem)
			}
			prepare(filepath.Join(dir, "ingot"))
			was, err := os.Lstat(filepath.Join(dir, "ingot"))
			if err != nil {
				t.Fatal(err)
			}
			after := FindLink(program, []string{dir}, nil)
			if after.Done || !strings.Contains(after.Problem, "is there already") {
				t.Errorf("%+v", after)
			}
			var refused *LinkError
			for _, l := range []Link{before, after} {
				if err := l.Make(); !errors.As(err, &refused) {
					t.Errorf("%v", err)
				}
			}
			if is, err := os.Lstat(filepath.Join(dir, "ingot")); err != nil || !os.SameFile(was, is) {
				t.Errorf("it was replaced: %v", err)
			}
		})
	}
	for _, program := range []string{"/private/var/folders/x/AppTranslocation/1/d/Ingot.app/Contents/MacOS/ingot", "/Volumes/Ingot/Ingot.app/Contents/MacOS/ingot"} {
		if l := FindLink(program, []string{t.TempDir()}, nil); !strings.Contains(l.Problem, "Applications") {
			t.Errorf("%+v", l)
		}
	}
	if l := FindLink(program, nil, nil); l.Problem == "" || l.Make() == nil {
		t.Errorf("without a home: %+v", l)
	}
}

// A folder that cannot be written is an error that names the command.
func TestLinkNotWritable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root can write everywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if err := FindLink(app(t, t.TempDir()), []string{dir}, nil).Make(); err == nil || !strings.Contains(err.Error(), "sudo ln -s") {
		t.Error(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}
