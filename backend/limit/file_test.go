package limit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ReadFile returns at once for every kind of file: with the bytes of a regular file
// within its bound, else with an error that names the kind.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, make := range map[string]func(string) error{
		"good":   func(p string) error { return os.WriteFile(p, []byte("1234"), 0o600) },
		"long":   func(p string) error { return os.WriteFile(p, []byte("12345"), 0o600) },
		"sparse": func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o600), os.Truncate(p, 10<<30)) },
		"pipe":   func(p string) error { return syscall.Mkfifo(p, 0o600) },
		"folder": func(p string) error { return os.Mkdir(p, 0o700) },
		"link":   func(p string) error { return os.Symlink("good", p) },
		"device": func(p string) error { return os.Symlink("/dev/zero", p) },
	} {
		if err := make(at(name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"good": "", "link": "", "long": "has 5 bytes", "sparse": "has 10737418240 bytes", "pipe": "a named pipe", "folder": "a folder", "device": "a device"} {
		began := time.Now()
		b, err := ReadFile(at(name), 4)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s: took %s", name, took)
		}
		switch {
		case want == "" && (err != nil || string(b) != "1234"):
			t.Errorf("%s: %q, %v", name, b, err)
		case want != "" && (!errors.As(err, new(*FileError)) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name)):
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if _, err := ReadFile(at("none"), 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
