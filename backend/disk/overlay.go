package disk

import (
	"errors"
	"fmt"
	"os"
	"syscall"
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

// OpenOverlay opens an overlay that CreateOverlay has made, with the raw image over which
// it lies.
func OpenOverlay(overlay, image string) (*Image, error) {
	im := &Image{}
	err := im.lay(overlay, "qcow2")
	if err == nil {
		err = im.lay(image, "raw")
	}
	if err != nil {
		return nil, fmt.Errorf("open disk %s: %w", overlay, errors.Join(err, im.Close()))
	}
	return im, nil
}

// lay adds a file without a backing file as the lowest layer.
func (im *Image) lay(path, format string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	head, err := im.add(f, path, format)
	if err == nil && head.backing != "" {
		err = fmt.Errorf("%w: %s names a backing file", ErrHostile, path)
	}
	return err
}
