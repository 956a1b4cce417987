package disk

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"ingot/backend/home"
)

// Constants of the seekable format of zstd: frames that can be read one by one, and a table
// of them in a skippable frame at the end, which other decoders pass over
// (github.com/facebook/zstd, contrib/seekable_format/zstd_seekable_compression_format.md).
const (
	seekFrame    = 4 << 20    // bytes of the disk in a frame
	skippable    = 0x184D2A5E // magic of the frame with the table
	seekMagic    = 0x8F92EAB1 // at the end of the file
	seekFooter   = 9          // bytes: number of frames, descriptor, magic
	seekEntry    = 8          // bytes: sizes of a frame, compressed and not
	seekMaxTable = 0x8000000  // frames
)

// RawZst writes a raw image, compressed as zstd in frames of 4 MiB with a table at the end:
// `zstd -d` makes the image of it, and readers of the seekable format read any part. The
// bytes depend only on the source.
func RawZst(ctx context.Context, src Source, dst string, progress func(done, total int64)) error {
	return home.CreateAtomic(dst, artifactMode, func(f *os.File) error {
		if err := writeSeekable(ctx, src, f, progress); err != nil {
			return fmt.Errorf("export raw.zst: %w", err)
		}
		return nil
	})
}

func writeSeekable(ctx context.Context, src Source, w io.Writer, progress func(done, total int64)) error {
	count := ceil(src.Size(), seekFrame)
	if count > seekMaxTable {
		return fmt.Errorf("a disk of %d bytes has more frames than the format allows", src.Size())
	}
	table := make([]byte, 0, count*seekEntry)
	g, ctx := errgroup.WithContext(ctx)
	frames := make(chan chan []byte, runtime.NumCPU()) // in the order of the disk
	g.Go(func() error {
		defer close(frames)
		work, ctx := errgroup.WithContext(ctx)
		work.SetLimit(runtime.NumCPU())
		for i := range count {
			frame := make(chan []byte, 1)
			select {
			case frames <- frame:
			case <-ctx.Done():
				return cmp.Or(work.Wait(), context.Cause(ctx)) // the table would be short
			}
			work.Go(func() error {
				packed, err := packFrame(src, i*seekFrame)
				frame <- packed // has room
				return err
			})
		}
		return work.Wait()
	})
	g.Go(func() error {
		done := int64(0)
		for frame := range frames {
			var packed []byte
			select {
			case packed = <-frame:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if packed == nil {
				return nil // the other goroutine has the error
			}
			if _, err := w.Write(packed); err != nil {
				return err
			}
			size := min(seekFrame, src.Size()-done)
			table = binary.LittleEndian.AppendUint32(table, uint32(len(packed)))
			table = binary.LittleEndian.AppendUint32(table, uint32(size))
			done += size
			if progress != nil {
				progress(done, src.Size())
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	head := binary.LittleEndian.AppendUint32(nil, skippable)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(table)+seekFooter))
	foot := binary.LittleEndian.AppendUint32(nil, uint32(count))
	foot = append(foot, 0) // no checksums: each frame has its own
	foot = binary.LittleEndian.AppendUint32(foot, seekMagic)
	for _, part := range [][]byte{head, table, foot} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// packFrame compresses the part of a disk that begins at an offset.
func packFrame(src Source, at int64) ([]byte, error) {
	data := make([]byte, min(seekFrame, src.Size()-at))
	if _, err := src.ReadAt(data, at); err != nil && err != io.EOF { //nolint:errorlint // of ReadAt itself
		return nil, err
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return z.EncodeAll(data, nil), nil
}
