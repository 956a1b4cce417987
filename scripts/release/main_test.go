package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func made(t *testing.T) release {
	t.Helper()
	r := release{from: t.TempDir(), to: t.TempDir(), version: "1.2.3", base: "https://example.org/v1.2.3", at: time.Unix(1e9, 0)}
	names := []string{"share/man/ingot.1", "share/man/ingot-build.1"}
	for _, p := range platforms {
		names = append(names, "ingot-"+p)
	}
	for _, f := range files {
		names = append(names, f)
	}
	for _, name := range names {
		file := filepath.Join(r.from, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("content of "+name), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// An archive holds the program with its completions and licences; the same input makes
// the same bytes; the formula has the archives' digests, and is Ruby.
func TestRelease(t *testing.T) {
	r := made(t)
	all := func() map[string][]byte {
		if err := r.make(); err != nil {
			t.Fatal(err)
		}
		out := map[string][]byte{}
		entries, err := os.ReadDir(r.to)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if out[e.Name()], err = os.ReadFile(filepath.Join(r.to, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	if err := os.WriteFile(filepath.Join(r.to, image), []byte("an image"), 0o600); err != nil {
		t.Fatal(err)
	}
	first, second := all(), all()
	if len(first) != 7 {
		t.Errorf("%d files", len(first))
	}
	formula := string(first["ingot.rb"])
	for name, data := range first {
		if !bytes.Equal(data, second[name]) {
			t.Errorf("the second %s differs", name)
		}
		if strings.HasSuffix(name, ".rb") || name == image {
			continue
		}
		if sum := fmt.Sprintf("%x", sha256.Sum256(data)); !strings.Contains(formula, "url \"https://example.org/v1.2.3/"+name+"\"\n      sha256 \""+sum+"\"") {
			t.Errorf("the formula lacks %s with %s", name, sum)
		}
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for tr := tar.NewReader(z); ; {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.Name == "bin/ingot" && h.Mode != 0o755 {
				t.Errorf("%s: mode %o", h.Name, h.Mode)
			}
			have = append(have, h.Name)
		}
		if len(have) != 1+len(files)+2 || !slices.Contains(have, "share/man/man1/ingot-build.1") || !slices.Contains(have, "bin/ingot") || !slices.Contains(have, "share/zsh/site-functions/_ingot") {
			t.Errorf("%s: %q", name, have)
		}
	}
	cask := string(first["ingot-app.rb"])
	if !strings.Contains(cask, fmt.Sprintf("%x", sha256.Sum256([]byte("an image")))) || !strings.Contains(cask, "https://example.org/v1.2.3/Ingot.dmg") {
		t.Errorf("the cask: %s", cask)
	}
	ruby, err := exec.LookPath("ruby")
	if err != nil {
		t.Skip("the formula's syntax was not checked: apt-get install ruby")
	}
	for _, name := range []string{"ingot.rb", "ingot-app.rb"} {
		if out, err := exec.Command(ruby, "-c", filepath.Join(r.to, name)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// Without the app there is no cask.
func TestNoCask(t *testing.T) {
	r := made(t)
	if err := r.make(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(r.to, "ingot-app.rb")); err == nil {
		t.Error("a cask of an app that does not exist")
	}
}

func TestReleaseMistakes(t *testing.T) {
	for want, change := range map[string]func(*release){
		"three numbers": func(r *release) { r.version = "v1" },
		"https address": func(r *release) { r.base = "http://example.org" },
		"no such file":  func(r *release) { r.from = t.TempDir() },
	} {
		r := made(t)
		change(&r)
		if err := r.make(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
