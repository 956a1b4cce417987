package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
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
	f, err := os.Open(path)
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
		info, err := inspectQcow2(f, head, st.Size())
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

func inspectQcow2(f io.ReaderAt, head []byte, fileSize int64) (Info, error) {
	be := binary.BigEndian
	version, bits := be.Uint32(head[4:]), be.Uint32(head[20:])
	size := be.Uint64(head[24:])
	if version != 2 && version != 3 || bits < 9 || bits > 21 || size > maxVirtual {
		return Info{}, fmt.Errorf("%w: qcow2 version %d, cluster bits %d, size %d", ErrUnreadable, version, bits, size)
	}
	if be.Uint64(head[8:]) != 0 {
		return Info{}, fmt.Errorf("%w: a backing file", ErrHostile)
	}
	if be.Uint32(head[32:]) != 0 {
		return Info{}, fmt.Errorf("%w: it is encrypted", ErrUnreadable)
	}
	if version == 3 && be.Uint64(head[72:])&4 != 0 {
		return Info{}, fmt.Errorf("%w: an external data file", ErrHostile)
	}
	l1n, l1off := int64(be.Uint32(head[36:])), int64(be.Uint64(head[40:]))
	if l1n > maxL1 || l1off < 0 {
		return Info{}, fmt.Errorf("%w: an L1 table of %d entries", ErrUnreadable, l1n)
	}
	info := Info{Format: "qcow2", VirtualSize: int64(size), FileSize: fileSize}
	return info, checkTables(f, l1off, l1n, bits, fileSize)
}

// checkTables makes sure that every cluster that the tables name lies inside
// the file.
func checkTables(f io.ReaderAt, l1off, l1n int64, bits uint32, fileSize int64) error {
	const offsetMask = 0x00fffffffffffe00
	size := int64(1) << bits
	l1, err := readTable(f, l1off, l1n, fileSize)
	if err != nil {
		return err
	}
	for _, e := range l1 {
		off := int64(e & offsetMask)
		if off == 0 {
			continue
		}
		l2, err := readTable(f, off, size/8, fileSize)
		if err != nil {
			return err
		}
		for _, c := range l2 {
			if end := clusterEnd(c, bits, offsetMask); end > fileSize {
				return fmt.Errorf("%w: a cluster ends at %d of %d bytes", ErrTruncated, end, fileSize)
			}
		}
	}
	return nil
}

// clusterEnd is the last byte of a cluster in the file, rounded down for a
// compressed one, whose size is counted in whole sectors.
func clusterEnd(entry uint64, bits uint32, offsetMask uint64) int64 {
	if entry&flagPacked != 0 {
		shift := 62 - (bits - 8)
		off := int64(entry & (1<<shift - 1))
		return off + 1
	}
	if off := int64(entry & offsetMask); off != 0 {
		return off + int64(1)<<bits
	}
	return 0
}

func readTable(f io.ReaderAt, off, n, fileSize int64) ([]uint64, error) {
	if off < 0 || off+n*8 > fileSize {
		return nil, fmt.Errorf("%w: a table ends at %d of %d bytes", ErrTruncated, off+n*8, fileSize)
	}
	buf := make([]byte, n*8)
	if _, err := f.ReadAt(buf, off); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read table: %w", err)
	}
	out := make([]uint64, n)
	for i := range out {
		out[i] = binary.BigEndian.Uint64(buf[i*8:])
	}
	return out, nil
}
