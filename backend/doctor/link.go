package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ingot/backend/api"
	"ingot/backend/cause"
)

// Link is how a shell finds the program `ingot` that lies in the app: a symbolic link in
// a folder of programs.
type Link struct {
	Program string // the program's path
	File    string // the link, or Program if its own folder is in PATH
	Done    bool   // File leads to Program
	InPath  bool   // File's folder is in PATH, as far as Ingot can see; see ShellPath
	Problem string // why there can be no link, and what to do; "" if there can, or is
}

// LinkFolders returns the folders that FindLink chooses from.
func LinkFolders() []string {
	var folders []string
	if user, err := os.UserHomeDir(); err == nil {
		folders = append(folders, filepath.Join(user, ".local", "bin"))
	}
	return append(folders, "/usr/local/bin")
}

// ShellPath returns the folders in which a shell looks for programs, as far as can be
// seen: those of this process's PATH and those that macOS puts into the PATH of each
// login shell (path_helper(8)). An app that Finder started does not see what the user's
// own profile adds.
func ShellPath() []string {
	path := filepath.SplitList(os.Getenv("PATH"))
	more, err := filepath.Glob("/etc/paths.d/*")
	if err != nil {
		return path
	}
	for _, file := range append([]string{"/etc/paths"}, more...) {
		text, err := os.ReadFile(file) // missing except on macOS
		if err == nil {
			path = append(path, strings.Fields(string(text))...)
		}
	}
	return path
}

// FindLink looks for a link to program in folders, and else chooses where there should be
// one: in the first folder in path that this user can write, else in the first one.
func FindLink(program string, folders, path []string) Link {
	l := Link{Program: program}
	if inPath(filepath.Dir(program), path) {
		l.File, l.Done, l.InPath = program, true, true
		return l
	}
	for _, dir := range folders {
		if file := filepath.Join(dir, "ingot"); sameFile(file, program) {
			l.File, l.Done, l.InPath = file, true, inPath(dir, path)
			return l
		}
	}
	if len(folders) == 0 {
		l.Problem = "there is no folder for programs: this user has no home folder"
		return l
	}
	dir := folders[0]
	if at := slices.IndexFunc(folders, func(d string) bool { return inPath(d, path) && unix.Access(d, unix.W_OK) == nil }); at >= 0 {
		dir = folders[at]
	}
	l.File, l.InPath = filepath.Join(dir, "ingot"), inPath(dir, path)
	switch {
	case api.Translocated(program), strings.HasPrefix(program, "/Volumes/"):
		l.Problem = "Ingot.app runs from a place that does not last: move it into Applications and open it there"
	case !replaceable(l.File):
		l.Problem = l.File + " is there already and is no link to the program of an Ingot app: remove it, if it is not needed, and look again"
	}
	return l
}

// Make makes the link, and its folder if that is missing. A link to the program of an
// Ingot app that was moved or removed is replaced, nothing else is.
func (l Link) Make() error {
	if l.Done {
		return nil
	}
	if l.Problem != "" {
		return &LinkError{l.Problem}
	}
	if !replaceable(l.File) { // it has come since
		return &LinkError{l.File + " is there already and is no link to the program of an Ingot app: remove it, if it is not needed"}
	}
	dir := filepath.Dir(l.File)
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		aside := filepath.Join(dir, fmt.Sprintf(".ingot-link-%d", os.Getpid()))
		if err = os.Symlink(l.Program, aside); err == nil {
			if err = os.Rename(aside, l.File); err != nil {
				_ = os.Remove(aside)
			}
		}
	}
	if errors.Is(err, fs.ErrPermission) {
		return &LinkError{fmt.Sprintf("%s cannot be written by this user: run in a terminal: sudo ln -s '%s' '%s'", dir, l.Program, l.File)}
	}
	return err
}

// LinkError reports that the link cannot be made, and what to do.
type LinkError struct{ Msg string }

func (e *LinkError) Error() string { return e.Msg }

// ErrorClass sorts the error; see package cause.
func (*LinkError) ErrorClass() cause.Class { return cause.Input }

// replaceable reports whether a link may be put in the place of file: nothing is there, or
// a link to a program `ingot` that is gone or lies beside an `ingot-app`.
func replaceable(file string) bool {
	to, err := os.Readlink(file)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(file), to)
	}
	if filepath.Base(to) != "ingot" {
		return false
	}
	if _, err := os.Stat(to); errors.Is(err, fs.ErrNotExist) {
		return true
	}
	_, err = os.Stat(filepath.Join(filepath.Dir(to), "ingot-app"))
	return err == nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// inPath reports whether path has the folder, also by another name of it.
func inPath(dir string, path []string) bool {
	return slices.ContainsFunc(path, func(p string) bool {
		return p != "" && (filepath.Clean(p) == dir || sameFile(p, dir))
	})
}
