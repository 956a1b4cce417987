package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Info is what Inspect found.
type Info struct {
	Format      string // qcow2 or raw
	VirtualSize int64
	FileSize    int64
}

// Errors of Inspect; each wraps one of these.
var (
	ErrUnreadable = errors.New("no disk image that can be read")
	ErrTruncated  = errors.New("the image is shorter than its tables say")
	ErrHostile    = errors.New("the image refers to something outside itself")
)

// Limits of what is taken for a sane image.
const (
	maxVirtual = 64 << 40
	maxL1      = 32 << 20 / 8
)

// Inspect reads an image's head and tables without following anything out of
// the file, and says what it is or why it is refused.
func Inspect(path string) (Info, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a fifo in its place is not waited for
	if err != nil {
		return Info{}, fmt.Errorf("inspect: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Info{}, fmt.Errorf("inspect: %w", err)
	}
	if !st.Mode().IsRegular() {
		return Info{}, fmt.Errorf("%s: %w: it is no regular file", path, ErrUnreadable)
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
