package desktop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
)

// CrashLog is a file that exists while a role is running. The Go runtime writes
// a crash into it; Close removes it.
type CrashLog struct{ path string }

// StartCrashLog creates the file. last is the file of an earlier crash, or ""
// if there was none; an empty file, which a killed process leaves, is not a
// crash.
func StartCrashLog(dir, role string) (l *CrashLog, last string, err error) {
	l = &CrashLog{filepath.Join(dir, "crash-"+role+".log")}
	if info, err := os.Stat(l.path); err == nil && info.Size() > 0 {
		last = filepath.Join(dir, fmt.Sprintf("crash-%s-%s.log", role, info.ModTime().UTC().Format("20060102-150405")))
		if err := os.Rename(l.path, last); err != nil {
			return nil, "", fmt.Errorf("crash log: %w", err)
		}
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, last, fmt.Errorf("crash log: %w", err)
	}
	err = debug.SetCrashOutput(f, debug.CrashOptions{})
	return l, last, errors.Join(err, f.Close()) // the runtime uses a duplicate of the descriptor
}

// Close removes the file.
func (l *CrashLog) Close() error {
	err := debug.SetCrashOutput(nil, debug.CrashOptions{})
	if rerr := os.Remove(l.path); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}
