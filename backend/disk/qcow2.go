package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"

	"github.com/klauspost/compress/flate"
	"golang.org/x/sync/errgroup"

	"ingot/backend/home"
)

// qcow2 constants for 64 KiB clusters (docs/interop/qcow2.rst).
const (
	clusterBits  = 16
	clusterSize  = 1 << clusterBits
	l2Entries    = clusterSize / 8 // guest clusters that one L2 table maps
	refsPerBlock = clusterSize / 2 // host clusters that one refcount block counts, 16 bits each
	flagCopied   = 1 << 63
	flagPacked   = 1 << 62 // a compressed cluster
	sizeShift    = 62 - (clusterBits - 8)
	qcow2Magic   = 0x514649fb
	headerLength = 112
)

// Qcow2 is the Sink of a compressed qcow2: version 3, zlib, no backing file.
// The file has the head (header, L1, L2 tables, refcounts) and then the
// clusters in guest order, compressed ones packed at byte offsets. The output
// depends only on the source, not on timing: clusters are compressed in
// parallel, and one writer keeps the order.
type Qcow2 struct{ Path string }

// Take writes the image.
func (q Qcow2) Take(ctx context.Context, src Source, progress func(done, total int64)) error {
	return home.CreateAtomic(q.Path, artifactMode, func(f *os.File) error {
		w := newQcow2Writer(f, src.Size())
		if err := w.copyClusters(ctx, src, progress); err != nil {
			return fmt.Errorf("export qcow2: %w", err)
		}
		if err := w.finish(); err != nil {
			return fmt.Errorf("export qcow2: %w", err)
		}
		return nil
	})
}

// qcow2Writer has the tables of one image in memory: 8 bytes per cluster.
type qcow2Writer struct {
	f      *os.File
	size   int64
	l1Off  int64
	l2Off  int64
	l2     []uint64 // all L2 tables one after the other, by guest cluster
	refTab int64
	refBlk int64
	blocks int64 // refcount blocks reserved
	refs   []uint16
	next   int64 // offset of the next byte to write
}

func newQcow2Writer(f *os.File, size int64) *qcow2Writer {
	guest := ceil(size, clusterSize)
	tables := ceil(guest, l2Entries)
	w := &qcow2Writer{f: f, size: size, l1Off: clusterSize, l2: make([]uint64, tables*l2Entries)}
	w.l2Off = w.l1Off + ceil(tables*8, clusterSize)*clusterSize
	w.refTab = w.l2Off + tables*clusterSize
	// upper bound: every guest cluster stored whole, and the head itself
	head := w.refTab/clusterSize + 1
	w.blocks = 1
	for ceil(head+w.blocks+guest, refsPerBlock) > w.blocks {
		w.blocks++
	}
	w.refBlk = w.refTab + clusterSize
	w.next = w.refBlk + w.blocks*clusterSize
	w.refs = make([]uint16, w.blocks*refsPerBlock)
	for i := range w.next / clusterSize {
		w.refs[i] = 1
	}
	return w
}

// packed is one cluster in the pipeline.
type packed struct {
	cluster
	deflated []byte // nil: store as it is
	zero     bool
}

// copyClusters runs the reader, the compressors and the writer.
func (w *qcow2Writer) copyClusters(ctx context.Context, src Source, progress func(done, total int64)) error {
	workers := runtime.GOMAXPROCS(0)
	g, ctx := errgroup.WithContext(ctx)
	jobs := make(chan func(*flate.Writer, *bytes.Buffer), workers*4)
	order := make(chan chan packed, workers*8) // clusters are written in the order in which they were read
	g.Go(func() error {
		defer close(order)
		defer close(jobs)
		for c, err := range clusters(ctx, src) {
			if err != nil {
				return err
			}
			result := make(chan packed, 1)
			job := func(z *flate.Writer, buf *bytes.Buffer) { result <- compress(z, buf, c) }
			for _, step := range []func() bool{
				func() bool {
					select {
					case order <- result:
						return true
					case <-ctx.Done():
						return false
					}
				},
				func() bool {
					select {
					case jobs <- job:
						return true
					case <-ctx.Done():
						return false
					}
				},
			} {
				if !step() {
					return ctx.Err()
				}
			}
		}
		return nil
	})
	for range workers {
		g.Go(func() error {
			var buf bytes.Buffer
			z, err := flate.NewWriter(&buf, 6)
			if err != nil {
				return err
			}
			for job := range jobs {
				job(z, &buf)
			}
			return nil
		})
	}
	g.Go(func() error { return w.drain(ctx, order, progress) })
	return g.Wait()
}

// drain writes the results in order.
func (w *qcow2Writer) drain(ctx context.Context, order <-chan chan packed, progress func(done, total int64)) error {
	for result := range order {
		select {
		case p := <-result:
			if err := w.place(p); err != nil {
				return err
			}
			if progress != nil {
				progress(min((p.index+1)*clusterSize, w.size), w.size)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// compress deflates one cluster; a short last cluster is padded with zeros.
func compress(z *flate.Writer, buf *bytes.Buffer, c cluster) packed {
	if allZero(c.data) {
		return packed{cluster: c, zero: true}
	}
	if len(c.data) < clusterSize {
		c.data = append(c.data, make([]byte, clusterSize-len(c.data))...)
	}
	buf.Reset()
	z.Reset(buf)
	_, err := z.Write(c.data)
	if err == nil {
		err = z.Close()
	}
	if err != nil || buf.Len() >= clusterSize-512 { // no gain: stored as it is
		return packed{cluster: c}
	}
	return packed{cluster: c, deflated: bytes.Clone(buf.Bytes())}
}

// place appends one cluster and adds it to the tables.
func (w *qcow2Writer) place(p packed) error {
	switch {
	case p.zero:
		return nil // unallocated reads as zeros
	case p.deflated == nil:
		off := ceil(w.next, clusterSize) * clusterSize
		if _, err := w.f.WriteAt(p.data, off); err != nil {
			return err
		}
		w.l2[p.index] = uint64(off) | flagCopied
		w.refs[off/clusterSize]++
		w.next = off + clusterSize
		return nil
	}
	if _, err := w.f.WriteAt(p.deflated, w.next); err != nil {
		return err
	}
	first, last := w.next/512, (w.next+int64(len(p.deflated))-1)/512
	w.l2[p.index] = flagPacked | uint64(last-first)<<sizeShift | uint64(w.next)
	for c := w.next / clusterSize; c <= last*512/clusterSize; c++ {
		w.refs[c]++
	}
	w.next += int64(len(p.deflated))
	return nil
}

// finish pads the end and writes the head.
func (w *qcow2Writer) finish() error {
	end := ceil(w.next, clusterSize) * clusterSize
	if err := w.f.Truncate(end); err != nil {
		return err
	}
	be := binary.BigEndian
	tables := int64(len(w.l2)) / l2Entries
	l1 := make([]byte, tables*8)
	l2 := make([]byte, len(w.l2)*8)
	for i, e := range w.l2 {
		be.PutUint64(l2[i*8:], e)
	}
	for t := range tables {
		be.PutUint64(l1[t*8:], uint64(w.l2Off+t*clusterSize)|flagCopied)
	}
	reftab := make([]byte, w.blocks*8)
	for b := range w.blocks {
		be.PutUint64(reftab[b*8:], uint64(w.refBlk+b*clusterSize))
	}
	refs := make([]byte, len(w.refs)*2)
	for i, r := range w.refs {
		be.PutUint16(refs[i*2:], r)
	}
	for _, part := range []struct {
		off  int64
		data []byte
	}{{0, w.header(tables)}, {w.l1Off, l1}, {w.l2Off, l2}, {w.refTab, reftab}, {w.refBlk, refs}} {
		if _, err := w.f.WriteAt(part.data, part.off); err != nil {
			return err
		}
	}
	return nil
}

// header returns the version 3 header; compression type 0 is zlib.
func (w *qcow2Writer) header(tables int64) []byte {
	h := make([]byte, headerLength)
	be := binary.BigEndian
	be.PutUint32(h[0:], qcow2Magic)
	be.PutUint32(h[4:], 3)
	be.PutUint32(h[20:], clusterBits)
	be.PutUint64(h[24:], uint64(w.size))
	be.PutUint32(h[36:], uint32(tables))
	be.PutUint64(h[40:], uint64(w.l1Off))
	be.PutUint64(h[48:], uint64(w.refTab))
	be.PutUint32(h[56:], 1) // refcount table clusters
	be.PutUint32(h[96:], 4) // refcount_order: 16 bits
	be.PutUint32(h[100:], headerLength)
	return h
}

func ceil(n, unit int64) int64 { return (n + unit - 1) / unit }
