package disk

import (
	"fmt"
	"os"
)

// CreateOverlay makes an empty qcow2 of the given virtual size at path: a place
// for a machine's writes over an image that stays as it is. The file names no
// backing file; the machine's command line joins the two.
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
