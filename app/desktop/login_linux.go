package desktop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// autostart returns the path of the entry that desktops start at login (Desktop
// Application Autostart Specification: $XDG_CONFIG_HOME/autostart).
func autostart() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("start at login: %w", err)
	}
	return filepath.Join(dir, "autostart", entryName+".desktop"), nil
}

// AtLogin reports whether Ingot starts at login. An entry with Hidden=true is
// disabled.
func AtLogin() bool {
	file, err := autostart()
	if err != nil {
		return false
	}
	text, err := os.ReadFile(file)
	return err == nil && !strings.Contains(string(text), "\nHidden=true")
}

// SetAtLogin makes the program start at login, or not.
func SetAtLogin(on bool, program string) error {
	file, err := autostart()
	if err != nil {
		return err
	}
	if !on {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("start at login: %w", err)
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("start at login: %w", err)
	}
	if err := os.WriteFile(file, []byte(entry(program)), 0o644); err != nil {
		return fmt.Errorf("start at login: %w", err)
	}
	return nil
}

// entry returns the content of the file. In Exec a path is quoted: a backslash
// precedes the characters that the shell interprets, and the result is escaped
// again as a string of the file format (Desktop Entry Specification 1.5, The
// Exec key).
func entry(program string) string {
	r := strings.NewReplacer(`\`, `\\\\`, `"`, `\\"`, "`", "\\\\`", "$", `\\$`, "%", "%%")
	return "[Desktop Entry]\nType=Application\nName=Ingot\nComment=Forge VM images, boot them, publish them, and prove it\nExec=\"" +
		r.Replace(program) + "\"\nIcon=ingot\nTerminal=false\nCategories=Development;\n"
}
