package qemu

import (
	"bytes"
	"os"
)

// hostSystem names this computer's system as far as accelerators depend on it.
func hostSystem() string {
	b, _ := os.ReadFile("/proc/version") // absent in some containers
	return string(bytes.TrimSpace(b))
}
