package api

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// OwnerReady is the line that an owner writes when it accepts connections.
const OwnerReady = "ready"

// Executable returns the path of the program to start as the owner. It is this
// program if it is `ingot`. For a program of the app it is the `ingot` beside
// it, or, for the window's nested bundle on macOS, the one of the enclosing
// bundle.
func Executable() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("owner: %w", err)
	}
	return ownerOf(self)
}

func ownerOf(self string) (string, error) {
	dir, name := filepath.Split(self)
	if !strings.HasPrefix(name, "ingot-") {
		return self, nil
	}
	around := filepath.Join(dir, "..", "..", "..", "..", "MacOS", "ingot") // Ingot.app/Contents/Helpers/Ingot Window.app/Contents/MacOS
	for _, program := range []string{filepath.Join(dir, "ingot"), around} {
		if info, err := os.Stat(program); err == nil && info.Mode().IsRegular() {
			return program, nil
		}
	}
	return "", fmt.Errorf("owner: there is no program `ingot` in %s: install it beside %s", dir, name)
}
