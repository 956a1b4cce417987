package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// qcow2 table entries (docs/interop/qcow2.rst, "Cluster mapping").
const (
	offsetMask = 0x00fffffffffffe00
	flagZero   = 1 // of a standard cluster's entry, version 3
)

// Known incompatible features. An image with any other bit is refused.
const (
	featureDirty    = 1 << 0 // refcounts may be wrong; reading does not need them
	featureCorrupt  = 1 << 1
	featureDataFile = 1 << 2
	featurePackType = 1 << 3 // the header names the compression
)

// maxBackingName is the format's limit for the length of a backing file's name.
const maxBackingName = 1023

// qcow2Head is the header of a qcow2 file, after the checks that need no table.
type qcow2Head struct {
	version     uint32
	bits        uint // of the cluster size
	size        int64
	l1Off, l1n  int64
	backing     string // name of the backing file as in the header; "" if there is none
	backingType string // raw, qcow2, …; "" if the header does not have it
	zstd        bool   // compression of clusters is zstd; false is deflate
}

func (h qcow2Head) cluster() int64 { return 1 << h.bits }

// perTable returns the number of clusters that one L2 table maps.
func (h qcow2Head) perTable() int64 { return h.cluster() / 8 }

// readHead reads the header and refuses invalid values before any table is
// read. It returns the name of a backing file and does not open it.
func readHead(f io.ReaderAt, fileSize int64) (qcow2Head, error) {
	b := make([]byte, 512)
	if n, err := f.ReadAt(b, 0); n < 104 {
		return qcow2Head{}, errors.Join(fmt.Errorf("%w: it has %d bytes", ErrUnreadable, fileSize), ignoreEOF(err))
	}
	be := binary.BigEndian
	version, bits, size := be.Uint32(b[4:]), be.Uint32(b[20:]), be.Uint64(b[24:])
	if version != 2 && version != 3 || bits < 9 || bits > 21 || size > maxVirtual {
		return qcow2Head{}, fmt.Errorf("%w: qcow2 version %d, cluster bits %d, size %d", ErrUnreadable, version, bits, size)
	}
	h := qcow2Head{version: version, bits: uint(bits), size: int64(size), l1n: int64(be.Uint32(b[36:])), l1Off: int64(be.Uint64(b[40:]))}
	if be.Uint32(b[32:]) != 0 {
		return h, fmt.Errorf("%w: it is encrypted", ErrUnreadable)
	}
	if version == 3 {
		if err := h.features(be.Uint64(b[72:]), b[104], be.Uint32(b[100:])); err != nil {
			return h, err
		}
	}
	if h.l1n > maxL1 || h.l1Off < 0 || h.l1n < ceil(h.size, h.cluster()*h.perTable()) {
		return h, fmt.Errorf("%w: an L1 table of %d entries for %d bytes", ErrUnreadable, h.l1n, h.size)
	}
	return h, h.readBacking(f, int64(be.Uint64(b[8:])), int64(be.Uint32(b[16:])), int64(be.Uint32(b[100:])))
}

// features checks the incompatible feature bits of version 3.
func (h *qcow2Head) features(bits uint64, packType byte, length uint32) error {
	switch {
	case bits&featureDataFile != 0:
		return fmt.Errorf("%w: an external data file", ErrHostile)
	case bits&featureCorrupt != 0:
		return fmt.Errorf("%w: QEMU marked it corrupt: `qemu-img check -r all` on a copy may repair it", ErrUnreadable)
	case bits&^(featureDirty|featurePackType) != 0:
		return fmt.Errorf("%w: incompatible features %#x are not supported (`qemu-img convert` rewrites the image without them)", ErrUnreadable, bits)
	}
	if bits&featurePackType != 0 && length > 104 {
		if packType > 1 {
			return fmt.Errorf("%w: compression type %d", ErrUnreadable, packType)
		}
		h.zstd = packType == 1
	}
	return nil
}

// readBacking reads the backing file's name and, from the header extensions,
// its format.
func (h *qcow2Head) readBacking(f io.ReaderAt, off, n, headerLength int64) error {
	if off == 0 {
		return nil
	}
	if n == 0 || n > maxBackingName || off < 72 || off+n > h.cluster() {
		return fmt.Errorf("%w: a backing file name of %d bytes at %d", ErrHostile, n, off)
	}
	name := make([]byte, n)
	if _, err := f.ReadAt(name, off); err != nil {
		return fmt.Errorf("%w: the backing file's name: %w", ErrTruncated, err)
	}
	h.backing = string(name)
	pos := int64(72)
	if h.version == 3 {
		pos = headerLength
	}
	const extensionEnd, extensionBackingType = 0, 0xe2792aca
	for ext := make([]byte, 8); pos+8 <= off; {
		if _, err := f.ReadAt(ext, pos); err != nil {
			return fmt.Errorf("%w: the header extensions: %w", ErrTruncated, err)
		}
		kind, size := binary.BigEndian.Uint32(ext), int64(binary.BigEndian.Uint32(ext[4:]))
		if kind == extensionEnd {
			return nil
		}
		if kind == extensionBackingType && size < 64 {
			text := make([]byte, size)
			if _, err := f.ReadAt(text, pos+8); err != nil {
				return fmt.Errorf("%w: the header extensions: %w", ErrTruncated, err)
			}
			h.backingType = string(text)
		}
		pos += 8 + ceil(size, 8)*8
	}
	return nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// audit reads every table. It checks that every cluster lies inside the file,
// and that the tables do not map more data than the file can have, since one
// host cluster can serve only one guest cluster.
func (h qcow2Head) audit(f io.ReaderAt, fileSize int64) error {
	l1, err := readTable(f, h.l1Off, h.l1n, fileSize)
	if err != nil {
		return err
	}
	var whole, packed, tables int64
	for _, e := range l1 {
		off := int64(e & offsetMask)
		if off == 0 {
			continue
		}
		if tables++; tables > fileSize/h.cluster() {
			return fmt.Errorf("%w: more tables than the file can have", ErrHostile)
		}
		l2, err := readTable(f, off, h.perTable(), fileSize)
		if err != nil {
			return err
		}
		for _, c := range l2 {
			switch start := h.clusterStart(c); {
			case start >= fileSize:
				return fmt.Errorf("%w: a cluster starts at %d of %d bytes", ErrTruncated, start, fileSize)
			case c&flagPacked != 0:
				packed++
			case start != 0:
				whole++
			}
		}
	}
	if whole > ceil(fileSize, h.cluster()) || packed*h.leastPacked() > fileSize {
		return fmt.Errorf("%w: %d clusters and %d compressed ones in %d bytes", ErrHostile, whole, packed, fileSize)
	}
	return nil
}

// leastPacked returns the smallest number of bytes of a compressed cluster:
// deflate compresses at most 1032 bytes into one, zstd compresses a block into
// a few bytes.
func (h qcow2Head) leastPacked() int64 {
	if h.zstd {
		return 8
	}
	return max(1, h.cluster()/1032)
}

// clusterStart returns the offset in the file of an L2 entry's data; 0 if there
// is none.
func (h qcow2Head) clusterStart(entry uint64) int64 {
	if entry&flagPacked != 0 {
		return int64(entry & (1<<(62-(h.bits-8)) - 1))
	}
	return int64(entry & offsetMask)
}

func readTable(f io.ReaderAt, off, n, fileSize int64) ([]uint64, error) {
	if off < 0 || off > fileSize || n*8 > fileSize-off {
		return nil, fmt.Errorf("%w: a table of %d bytes at %d of %d bytes", ErrTruncated, n*8, off, fileSize)
	}
	buf := make([]byte, n*8)
	if _, err := f.ReadAt(buf, off); ignoreEOF(err) != nil {
		return nil, fmt.Errorf("read table: %w", err)
	}
	out := make([]uint64, n)
	for i := range out {
		out[i] = binary.BigEndian.Uint64(buf[i*8:])
	}
	return out, nil
}
