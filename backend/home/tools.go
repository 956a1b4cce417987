package home

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// extraDirs are searched after PATH: Finder starts programs with a bare PATH,
// and Debian's users have no sbin in theirs.
func extraDirs() []string {
	dirs := []string{"/opt/homebrew/bin", "/opt/homebrew/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/local/bin", "/opt/local/sbin"}
	if user, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, filepath.Join(user, ".local/bin"), filepath.Join(user, "go/bin"))
	}
	return append(dirs, "/usr/bin", "/usr/sbin", "/sbin", "/bin")
}

// SearchPath is PATH with the extra folders, for child processes.
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

// ToolMissingError says that a program is not installed.
type ToolMissingError struct {
	Name     string
	Searched string
}

func (e *ToolMissingError) Error() string {
	return fmt.Sprintf("%s is not installed (looked in %s): `ingot doctor` prints the command that installs it", e.Name, e.Searched)
}

// LookTool finds a program's absolute path.
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

// NoSpaceError says that a file system has too little room. Sizes are bytes.
type NoSpaceError struct {
	Path, What string
	Need, Free uint64
}

func (e *NoSpaceError) Error() string {
	return fmt.Sprintf("%s needs %s in %s, %s is free: free some space, or set INGOT_HOME (INGOT_WORK for the work directory) to a folder on another disk", e.What, gib(e.Need), e.Path, gib(e.Free))
}

func gib(n uint64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }

// FreeSpace is what this user may still write below path, in bytes. A path
// that does not exist yet is judged by its nearest parent.
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

// NeedSpace fails with *NoSpaceError when less than need bytes are free.
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

// Usage is the space that a file or folder takes: by its files' sizes, and on
// disk, where holes take none. What cannot be read counts as nothing.
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
