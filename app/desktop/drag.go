package desktop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Drop is the result of a drag.
type Drop struct {
	Accepted bool // the target accepted the files
	Copied   bool // the target reported that it copied them
}

// dragLimit ends a drag whose button release was not noticed.
const dragLimit = 2 * time.Minute

// dragFiles makes the paths absolute and checks that each file exists, so that
// a missing file is reported before the drag starts.
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
			return nil, fmt.Errorf("drag %s: it is neither a regular file nor a folder", abs)
		}
		out = append(out, abs)
	}
	return out, nil
}
