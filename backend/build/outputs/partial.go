package outputs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ingot/backend/event"
)

// ClearPartial removes the temporary folders of processes that have ended. Their names
// end with the process id and its start time.
func ClearPartial(dir string) error {
	folders, err := filepath.Glob(filepath.Join(dir, ".*-by-*"))
	if err != nil {
		return err
	}
	for _, f := range folders {
		var pid int
		var start string
		name := filepath.Base(f)
		if _, serr := fmt.Sscanf(strings.ReplaceAll(name[strings.LastIndex(name, "-by-"):], "-", " "), " by %d %s", &pid, &start); serr != nil || !event.Alive(pid, start) {
			err = errors.Join(err, os.RemoveAll(f))
		}
	}
	return err
}

// Partial creates a temporary folder in dir for an incomplete output. Its name contains
// the id and start time of this process, for ClearPartial.
func Partial(dir, what string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("outputs: %w", err)
	}
	pid, start := event.Self()
	for i := 0; ; i++ {
		path := filepath.Join(dir, fmt.Sprintf(".%s-%d-by-%d-%s", what, i, pid, start))
		err := os.Mkdir(path, 0o755)
		if err == nil || !errors.Is(err, os.ErrExist) {
			return path, err
		}
	}
}
