package desktop

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// LogDir returns the folder of the app's logs, and makes it: ~/Library/Logs/Ingot on
// macOS, where Console shows it, elsewhere data, the home's own folder.
func LogDir(data string) (string, error) {
	dir := data
	if user, err := os.UserHomeDir(); err == nil {
		dir = logDir(runtime.GOOS, user, data)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("logs: %w", err)
	}
	return dir, nil
}

func logDir(goos, user, data string) string {
	if goos == "darwin" && os.Getenv("INGOT_HOME") == "" { // a home elsewhere has its logs there
		return filepath.Join(user, "Library", "Logs", "Ingot")
	}
	return data
}

// logLimit is the size at which a log is set aside, in bytes.
const logLimit = 1 << 20

// OpenLog returns where a role writes its log: standard error, or a file in LogDir if
// standard error is /dev/null, as in a program that Finder has started. The caller closes
// the file when the program ends.
func OpenLog(data, role string) (io.WriteCloser, error) {
	if info, err := os.Stderr.Stat(); err == nil && !sameDevice(info, os.DevNull) {
		return os.Stderr, nil
	}
	dir, err := LogDir(data)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, role+".log")
	if info, err := os.Stat(path); err == nil && info.Size() > logLimit {
		if err := os.Rename(path, filepath.Join(dir, role+".1.log")); err != nil {
			return nil, fmt.Errorf("logs: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	return f, nil
}

func sameDevice(info os.FileInfo, path string) bool {
	other, err := os.Stat(path)
	return err == nil && os.SameFile(info, other)
}
