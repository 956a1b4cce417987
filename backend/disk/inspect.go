package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"ingot/backend/cause"
)

// Info is the result of Inspect.
type Info struct {
	Format      string // qcow2 or raw
	VirtualSize int64
	FileSize    int64
}

// Errors of Inspect; each wraps one of these.
var (
	ErrUnreadable error = &cause.Sentinel{Msg: "the disk image cannot be read", Class: cause.Unproven}
	ErrTruncated  error = &cause.Sentinel{Msg: "the image is shorter than its tables say", Class: cause.Unproven}
	ErrHostile    error = &cause.Sentinel{Msg: "the image refers to something outside itself", Class: cause.Unproven}
)

// Limits for a valid image.
const (
	maxVirtual = 64 << 40
	maxL1      = 32 << 20 / 8
)

// Inspect reads an image's header and tables without opening any file that the
// image refers to. It returns what the image is, or why it is refused.
func Inspect(path string) (Info, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // does not block on a FIFO
	if err != nil {
		return Info{}, fmt.Errorf("inspect: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Info{}, fmt.Errorf("inspect: %w", err)
	}
	if !st.Mode().IsRegular() {
		return Info{}, fmt.Errorf("%s: %w: it is not a regular file", path, ErrUnreadable)
	}
	if err := notContainer(f, st.Size()); err != nil {
		return Info{}, fmt.Errorf("%s: %w", path, err)
	}
	head := make([]byte, 512)
	if _, err := io.ReadFull(f, head); err != nil {
		return Info{}, fmt.Errorf("%s: %w: it has %d bytes", path, ErrUnreadable, st.Size())
	}
	if binary.BigEndian.Uint32(head) == qcow2Magic {
		info, err := inspectQcow2(f, st.Size())
		if err != nil {
			return Info{}, fmt.Errorf("%s: %w", path, err)
		}
		return info, nil
	}
	if head[510] != 0x55 || head[511] != 0xaa || st.Size()%512 != 0 {
		return Info{}, fmt.Errorf("%s: %w: neither a qcow2 nor a raw disk with a partition table", path, ErrUnreadable)
	}
	return Info{Format: "raw", VirtualSize: st.Size(), FileSize: st.Size()}, nil
}

func inspectQcow2(f io.ReaderAt, fileSize int64) (Info, error) {
	h, err := readHead(f, fileSize)
	if err != nil {
		return Info{}, err
	}
	if h.backing != "" {
		return Info{}, fmt.Errorf("%w: a backing file", ErrHostile)
	}
	return Info{Format: "qcow2", VirtualSize: h.size, FileSize: fileSize}, h.audit(f, fileSize)
}

// WithCause gives an error of Inspect or Open its cause.
func WithCause(err error) error {
	var c *ContainerError
	switch {
	case errors.As(err, &c):
		return cause.With(c.CauseID(), err)
	case errors.Is(err, ErrInUse):
		return cause.With("image.in-use", err)
	case errors.Is(err, ErrNoBacking):
		return cause.With("image.no-backing", err)
	case errors.Is(err, ErrChanged):
		return cause.With("image.changed", err)
	case errors.Is(err, ErrTruncated):
		return cause.With("image.truncated", err)
	case errors.Is(err, ErrHostile):
		return cause.With("image.hostile", err)
	case errors.Is(err, os.ErrNotExist):
		return cause.With("image.missing", err)
	case errors.Is(err, ErrUnreadable):
		return cause.With("image.unreadable", err)
	}
	return err
}
