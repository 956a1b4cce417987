package desktop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Drop is how a drag ended.
type Drop struct {
	Accepted bool // by what the files were dropped on
	Copied   bool // which says that it copied them
}

// dragLimit ends a drag whose button nobody seems to release.
const dragLimit = 2 * time.Minute

// dragFiles makes the paths absolute and checks that each is a file that can be
// given away now: one that went away behind our back is said before the drag.
func dragFiles(files []string) ([]string, error) {
	if len(files) == 0 {
		return nil, errors.New("drag: no file")
	}
	var out []string
	for _, f := range files {
		abs, err := filepath.Abs(f)
		if err != nil {
			return nil, fmt.Errorf("drag %s: %w", f, err)
		}
		info, err := os.Stat(abs)
		if err != nil {
			return nil, fmt.Errorf("drag: %w", err)
		}
		if !info.Mode().IsRegular() && !info.IsDir() {
			return nil, fmt.Errorf("drag %s: it is neither a file nor a folder", abs)
		}
		out = append(out, abs)
	}
	return out, nil
}
