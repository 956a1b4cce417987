package disk

import (
	"fmt"
	"os"
)

// CreateOverlay creates an empty qcow2 file of the given virtual size, in
// bytes, for a machine's writes over an image that must not change. The file
// does not name a backing file: the machine's command line does.
func CreateOverlay(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	w := newQcow2Writer(f, size)
	err = w.finish()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	return nil
}
