// Package home finds and prepares the folders in which Ingot keeps its data.
//
// A home is three folders: data (ledger, outputs, keys), config (config.yaml,
// the user's targets) and cache (inputs, compiler cache: all of it can be
// deleted). The package also has the home's lock, its schema version with
// migrations, the user's configuration file, and the search for programs and
// free space. It does not depend on targets or builds.
package home

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Home holds the paths of the three folders.
type Home struct {
	Data, Config, Cache string
}

// Pulled returns the cache's folder of disks of releases, each in a folder that is named
// by its SHA-256.
func (h Home) Pulled() string { return filepath.Join(h.Cache, "pulled") }

// Locate returns the folders without creating them. INGOT_HOME sets all three,
// INGOT_CONFIG and INGOT_CACHE one each. Otherwise the platform's convention
// applies (XDG base directories on Linux, ~/Library on macOS).
func Locate(getenv func(string) string, goos, userHome string) (Home, error) {
	h, err := locate(getenv, goos, userHome)
	if err != nil {
		return Home{}, err
	}
	for name, dir := range map[string]*string{"INGOT_CONFIG": &h.Config, "INGOT_CACHE": &h.Cache} {
		if v := getenv(name); v != "" {
			if !filepath.IsAbs(v) {
				return Home{}, &RelativeError{name, v}
			}
			*dir = v
		}
	}
	return h, nil
}

// RelativeError reports an environment variable that must be an absolute path
// and is not.
type RelativeError struct{ Name, Value string }

func (e *RelativeError) Error() string {
	return fmt.Sprintf("%s=%q: the path must be absolute", e.Name, e.Value)
}

// CauseID names the cause.
func (e *RelativeError) CauseID() string { return "config.invalid" }

func locate(getenv func(string) string, goos, userHome string) (Home, error) {
	if base := getenv("INGOT_HOME"); base != "" {
		if !filepath.IsAbs(base) {
			return Home{}, &RelativeError{"INGOT_HOME", base}
		}
		return Home{filepath.Join(base, "data"), filepath.Join(base, "config"), filepath.Join(base, "cache")}, nil
	}
	if userHome == "" {
		return Home{}, errors.New("there is no home folder for this user: set INGOT_HOME to a folder of your choice")
	}
	if goos == "darwin" {
		data := filepath.Join(userHome, "Library", "Application Support", "Ingot")
		return Home{data, filepath.Join(data, "config"), filepath.Join(userHome, "Library", "Caches", "Ingot")}, nil
	}
	xdg := func(name, fallback string) string {
		if v := getenv(name); filepath.IsAbs(v) { // the specification says to ignore relative ones
			return filepath.Join(v, "ingot")
		}
		return filepath.Join(userHome, fallback, "ingot")
	}
	return Home{xdg("XDG_DATA_HOME", ".local/share"), xdg("XDG_CONFIG_HOME", ".config"), xdg("XDG_CACHE_HOME", ".cache")}, nil
}

// Open locates the home, creates its folders and migrates its schema.
func Open() (Home, error) {
	user, _ := os.UserHomeDir() // empty is dealt with by Locate
	h, err := Locate(os.Getenv, runtime.GOOS, user)
	if err != nil {
		return Home{}, err
	}
	for dir, mode := range map[string]os.FileMode{h.Data: 0o755, h.Config: 0o700, h.Cache: 0o755} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return Home{}, fmt.Errorf("make Ingot's folder: %w: set INGOT_HOME to a folder that you can write", err)
		}
	}
	h.skipIndexing()
	return h, migrate(h.Data, SchemaVersion, migrations)
}

// WriteFileAtomic writes a small file with CreateAtomic.
func WriteFileAtomic(path string, data []byte, mode os.FileMode) error {
	return CreateAtomic(path, mode, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

// CreateAtomic creates or replaces a file so that readers, also after a crash,
// see either the old content or the whole new content. fill writes a temporary
// file in the same folder; then the file is synced and renamed, and the folder
// is synced. If fill fails, the temporary file is removed.
func CreateAtomic(path string, mode os.FileMode, fill func(*os.File) error) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".tmp-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if err = fill(tmp); err != nil {
		return err
	}
	if err = tmp.Chmod(mode); err != nil {
		return err
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Sweep removes this user's files and folders that match the pattern
// (filepath.Match) and were modified longer ago than age.
func Sweep(pattern string, age time.Duration) error {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, f := range found {
		info, serr := os.Lstat(f)
		if serr != nil || time.Since(info.ModTime()) < age {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Getuid() {
			continue
		}
		err = errors.Join(err, os.RemoveAll(f))
	}
	return err
}
