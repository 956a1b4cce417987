package disk

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// kind is the kind of data that a layer has at an offset.
type kind int

const (
	absent kind = iota // the layer below has the data; zeros if there is none
	zeros
	stored // as it is, in the file
	compressed
)

// stretch is a range of a layer with data of one kind.
type stretch struct {
	kind   kind
	length int64
	host   int64 // where the bytes are in the layer's file
	entry  uint64
}

// layer is one file of a chain of backing files.
type layer interface {
	size() int64
	// at describes the data at off, which must be less than size.
	at(off int64) (stretch, error)
	// read fills p from a stored or packed range that at returned for off.
	read(p []byte, off int64, s stretch) error
	file() *os.File
}

// rawLayer is a raw file, which is always the last of a chain.
type rawLayer struct{ rawFile }

func (r *rawLayer) size() int64    { return r.rawFile.size }
func (r *rawLayer) file() *os.File { return r.f }

func (r *rawLayer) at(off int64) (stretch, error) {
	for e, err := range r.extentsFrom(off) {
		if err != nil {
			return stretch{}, err
		}
		if e.Offset > off {
			return stretch{kind: zeros, length: e.Offset - off}, nil
		}
		return stretch{kind: stored, length: e.Length, host: off}, nil
	}
	return stretch{kind: zeros, length: r.size() - off}, nil
}

func (r *rawLayer) read(p []byte, off int64, _ stretch) error { return readPadded(r.f, p, off) }

// readPadded reads p at off; bytes after the end of the file are zeros, as in
// QEMU, which reads the last cluster of a file that ends inside it.
func readPadded(f io.ReaderAt, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	clear(p[n:])
	return ignoreEOF(err)
}

// tablesKept is the number of L2 tables that a layer caches, of at most 2 MiB
// each.
const tablesKept = 32

// qcow2Layer is a qcow2 file of a chain. It is safe for concurrent use.
type qcow2Layer struct {
	f     *os.File
	bytes int64 // size of the file
	head  qcow2Head
	l1    []uint64

	mu     sync.Mutex
	tables map[int64][]uint64 // by offset in the file
	last   int64              // guest offset of the cluster in unpacked; -1 for none
	plain  []byte
	zstd   *zstd.Decoder
}

func openQcow2Layer(f *os.File, fileSize int64) (*qcow2Layer, error) {
	h, err := readHead(f, fileSize)
	if err != nil {
		return nil, err
	}
	if err := h.audit(f, fileSize); err != nil {
		return nil, err
	}
	l := &qcow2Layer{f: f, bytes: fileSize, head: h, tables: map[int64][]uint64{}, last: -1}
	if l.l1, err = readTable(f, h.l1Off, h.l1n, fileSize); err != nil {
		return nil, err
	}
	if h.zstd {
		l.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	}
	return l, err
}

func (l *qcow2Layer) size() int64    { return l.head.size }
func (l *qcow2Layer) file() *os.File { return l.f }

func (l *qcow2Layer) at(off int64) (stretch, error) {
	h := l.head
	span := h.cluster() * h.perTable()
	i := off / span
	if i >= int64(len(l.l1)) {
		return stretch{}, fmt.Errorf("%w: no L1 entry for byte %d", ErrUnreadable, off)
	}
	where := int64(l.l1[i] & offsetMask)
	if where == 0 {
		return l.clip(stretch{kind: absent, length: (i+1)*span - off}, off), nil
	}
	table, err := l.table(where)
	if err != nil {
		return stretch{}, err
	}
	inside := off % h.cluster()
	s := l.describe(table[off%span/h.cluster()])
	s.host += inside
	s.length = h.cluster() - inside
	return l.clip(s, off), nil
}

func (l *qcow2Layer) clip(s stretch, off int64) stretch {
	s.length = min(s.length, l.head.size-off)
	return s
}

// describe decodes one L2 entry; host is the offset of the cluster.
func (l *qcow2Layer) describe(entry uint64) stretch {
	switch {
	case entry&flagPacked != 0:
		return stretch{kind: compressed, entry: entry}
	case l.head.version == 3 && entry&flagZero != 0:
		return stretch{kind: zeros}
	case entry&offsetMask == 0:
		return stretch{kind: absent}
	}
	return stretch{kind: stored, host: int64(entry & offsetMask)}
}

func (l *qcow2Layer) table(off int64) ([]uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t, ok := l.tables[off]; ok {
		return t, nil
	}
	t, err := readTable(l.f, off, l.head.perTable(), l.bytes)
	if err != nil {
		return nil, err
	}
	if len(l.tables) >= tablesKept {
		clear(l.tables)
	}
	l.tables[off] = t
	return t, nil
}

func (l *qcow2Layer) read(p []byte, off int64, s stretch) error {
	if s.kind == stored {
		return readPadded(l.f, p, s.host)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	start := off - off%l.head.cluster()
	if l.last != start {
		if err := l.unpack(s.entry); err != nil {
			l.last = -1
			return fmt.Errorf("%w: the compressed cluster of byte %d: %w", ErrUnreadable, start, err)
		}
		l.last = start
	}
	copy(p, l.plain[off-start:])
	return nil
}

// unpack decompresses one cluster into plain. The entry has the compressed size
// in sectors of 512 bytes, so bytes of the next cluster may follow.
func (l *qcow2Layer) unpack(entry uint64) error {
	shift := 62 - (l.head.bits - 8)
	start := int64(entry & (1<<shift - 1))
	sectors := int64(entry>>shift&(1<<(l.head.bits-8)-1)) + 1
	data := make([]byte, sectors*512-start%512)
	if n, err := l.f.ReadAt(data, start); n == 0 {
		return err
	}
	if l.plain == nil {
		l.plain = make([]byte, l.head.cluster())
	}
	var z io.Reader
	if l.zstd != nil {
		if err := l.zstd.Reset(bytes.NewReader(data)); err != nil {
			return err
		}
		z = l.zstd
	} else {
		z = flate.NewReader(bytes.NewReader(data))
	}
	_, err := io.ReadFull(z, l.plain)
	return err
}
