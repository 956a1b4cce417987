// Package limit reads untrusted input, files of a home directory and HTTP answers,
// within bounds of size and time. Such a read neither blocks forever nor exhausts
// memory.
package limit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Size bounds of common files, in bytes.
const (
	Document = 4 << 20  // an evidence document; the largest known one has 120 KB
	Settings = 1 << 20  // a configuration, a job, a lock's owner, a key
	Journal  = 64 << 20 // the events of a build; 10,000 log lines take about 2 MB
)

// FileError reports that a file was refused: it is not a regular file, or it is larger
// than its bound.
type FileError struct{ Path, Msg string }

func (e *FileError) Error() string { return e.Path + ": " + e.Msg }

// ReadFile reads a regular file of at most max bytes; any other file is a *FileError.
// It follows symbolic links. It refuses a named pipe or a device without blocking on it
// (open(2), O_NONBLOCK). Other errors are those of os.Open.
func ReadFile(path string, max int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > max {
		return nil, tooLarge(path, info.Size(), max)
	}
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(b)) > max { // it grew after Stat
		return nil, tooLarge(path, int64(len(b)), max)
	}
	return b, err
}

func tooLarge(path string, size, max int64) error {
	return &FileError{path, fmt.Sprintf("it has %d bytes; files of this kind have at most %d", size, max)}
}

// Open opens a regular file for reading, with the same checks as ReadFile except the
// size. The caller closes it.
func Open(path string) (*os.File, error) { return OpenFile(path, os.O_RDONLY, 0) }

// OpenFile is os.OpenFile with the rule of Open, for a file that may be there already.
func OpenFile(path string, flag int, perm os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag|syscall.O_NONBLOCK, perm)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &FileError{path, "it is " + kind(info.Mode()) + ", not a regular file"}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}
