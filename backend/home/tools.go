package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"ingot/backend/cause"
)

// extraDirs returns the folders that are searched after PATH: Finder starts
// programs with a minimal PATH, and a Debian user's PATH has no sbin.
func extraDirs() []string {
	dirs := []string{"/opt/homebrew/bin", "/opt/homebrew/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/local/bin", "/opt/local/sbin"}
	if user, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, filepath.Join(user, ".local/bin"), filepath.Join(user, "go/bin"), filepath.Join(user, ".nix-profile/bin"))
	}
	return append(dirs, "/run/current-system/sw/bin", "/nix/var/nix/profiles/default/bin", "/usr/bin", "/usr/sbin", "/sbin", "/bin")
}

// SearchPath returns PATH with the extra folders, for child processes.
func SearchPath() string {
	seen := map[string]bool{}
	var dirs []string
	for _, d := range append(filepath.SplitList(os.Getenv("PATH")), extraDirs()...) {
		if d != "" && !seen[d] {
			seen[d] = true
			dirs = append(dirs, d)
		}
	}
	return strings.Join(dirs, string(os.PathListSeparator))
}

// ToolMissingError reports that a program is not installed.
type ToolMissingError struct {
	Name     string
	Searched string
}

func (e *ToolMissingError) Error() string {
	return fmt.Sprintf("%s is not installed (looked in %s): `ingot doctor` prints the command that installs it", e.Name, e.Searched)
}

// CauseID names the cause.
func (*ToolMissingError) CauseID() string { return "guest.tool-missing" }

// ErrorClass sorts the error; see package cause.
func (*ToolMissingError) ErrorClass() cause.Class { return cause.Missing }

// LookTool returns a program's absolute path, or a *ToolMissingError.
func LookTool(name string) (string, error) {
	path := SearchPath()
	for _, dir := range filepath.SplitList(path) {
		p := filepath.Join(dir, name)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && filepath.IsAbs(p) {
			return p, nil
		}
	}
	return "", &ToolMissingError{name, path}
}

// NoSpaceError reports that a file system has too little free space. Sizes are
// in bytes.
type NoSpaceError struct {
	Path, What string
	Need, Free uint64
	Guest      bool // Path is in a guest
}

func (e *NoSpaceError) Error() string {
	return fmt.Sprintf("%s needs %s in %s, %s is free: free some space, or set INGOT_HOME (INGOT_WORK for the work directory) to a folder on another disk", e.What, gib(e.Need), e.Path, gib(e.Free))
}

// CauseID names the cause.
func (e *NoSpaceError) CauseID() string {
	if e.Guest {
		return "guest.no-space"
	}
	return cause.NoSpace
}

// ErrorClass sorts the error; see package cause.
func (*NoSpaceError) ErrorClass() cause.Class { return cause.Missing }

func gib(n uint64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }

// FreeSpace returns the number of bytes that this user can still write below
// path. If path does not exist yet, its nearest existing parent is used.
func FreeSpace(path string) (uint64, error) {
	for {
		var st unix.Statfs_t
		err := unix.Statfs(path, &st)
		if err == nil {
			return st.Bavail * uint64(st.Bsize), nil
		}
		parent := filepath.Dir(path)
		if !os.IsNotExist(err) || parent == path {
			return 0, fmt.Errorf("free space of %s: %w", path, err)
		}
		path = parent
	}
}

// FullError reports that a write failed because the disk is full.
type FullError struct {
	Path, What string // What could not be written below Path
	Err        error
}

func (e *FullError) Error() string {
	return fmt.Sprintf("%s cannot be written: the disk of %s is full: free some space, or set INGOT_HOME to a folder on another disk", e.What, e.Path)
}

// CauseID names the cause.
func (*FullError) CauseID() string { return cause.NoSpace }

// ErrorClass sorts the error; see package cause.
func (*FullError) ErrorClass() cause.Class { return cause.Missing }

func (e *FullError) Unwrap() error { return e.Err }

// almostNone is the free space, in bytes, with which a file system counts as full:
// what reports a failed write in words of its own may have left a little.
const almostNone = 64 << 10

// Full returns a *FullError for the error of a library that writes below path and
// does not return the system's errors: if it contains that of a full disk or its
// text, or if the file system is full now. It returns any other error unchanged.
func Full(path, what string, err error) error {
	if err == nil || errors.As(err, new(*FullError)) {
		return err
	}
	text := err.Error()
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) && !strings.Contains(text, unix.ENOSPC.Error()) && !strings.Contains(text, unix.EDQUOT.Error()) {
		if free, ferr := FreeSpace(path); ferr != nil || free > almostNone {
			return err
		}
	}
	return &FullError{path, what, err}
}

// NeedSpace returns a *NoSpaceError if less than need bytes are free below
// path. what names the operation, for the message.
func NeedSpace(path string, need uint64, what string) error {
	free, err := FreeSpace(path)
	if err != nil {
		return err
	}
	if free < need {
		return &NoSpaceError{Path: path, What: what, Need: need, Free: free}
	}
	return nil
}

// Usage returns the space that a file or folder takes, in bytes: the sum of the
// file sizes, and the space allocated on disk, in which holes are not counted.
// Files that cannot be read are not counted.
func Usage(path string) (apparent, allocated int64) {
	_ = filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return nil
		}
		apparent += info.Size()
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			allocated += st.Blocks * 512 // the unit of st_blocks everywhere (stat(2))
		}
		return nil
	})
	return apparent, allocated
}
