package desktop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// downloads returns the folder for exported files: the user's Downloads folder
// if it exists, else the home folder.
func downloads() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	if d := filepath.Join(home, "Downloads"); isDir(d) {
		return d, nil
	}
	return home, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// FreeName returns a path in the folder for downloads that does not exist yet.
func FreeName(base, ext string) (string, error) {
	dir, err := downloads()
	if err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		name := base + "." + ext
		if n > 1 {
			name = fmt.Sprintf("%s-%d.%s", base, n, ext)
		}
		path := filepath.Join(dir, name)
		_, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
		if err != nil || n > 1000 {
			return "", errors.Join(fmt.Errorf("%s: no free name", path), err)
		}
	}
}
