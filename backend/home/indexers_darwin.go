package home

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// skipIndexing keeps Spotlight and Time Machine away from gigabytes of images: once, when
// the home is new. Without it both work, and take longer.
func (h Home) skipIndexing() {
	marker := filepath.Join(h.Data, neverIndex)
	if _, err := os.Lstat(marker); err == nil {
		return
	}
	dir := filepath.Join(h.Data, "outputs")
	if os.MkdirAll(dir, 0o755) == nil && unix.Setxattr(dir, excludedAttr, []byte(excludedValue), 0) == nil {
		_ = os.WriteFile(marker, nil, 0o644)
	}
}
