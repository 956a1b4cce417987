package guest

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// copyFile copies through a temporary file beside dst. Blocks of zeros become holes, so
// that a sparse disk stays sparse on any file system.
func copyFile(ctx context.Context, src, dst string, mode os.FileMode) error {
	in, err := os.Open(src)
	if err != nil {
		return fmt.Errorf("copy to %s: %w", dst, err)
	}
	defer in.Close()
	return receive(ctx, in, dst, mode)
}

// receive writes a stream to dst, atomically and with holes.
func receive(ctx context.Context, r io.Reader, dst string, mode os.FileMode) (err error) {
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return fmt.Errorf("copy to %s: %w", dst, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(dst), ".copy-*")
	if err != nil {
		return fmt.Errorf("copy to %s: %w", dst, err)
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if err = copySparse(ctx, tmp, r); err != nil {
		return fmt.Errorf("copy to %s: %w", dst, err)
	}
	if err = tmp.Chmod(mode); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return fmt.Errorf("copy to %s: %w", dst, err)
	}
	return os.Rename(tmp.Name(), dst)
}

const copyBlock = 64 << 10

// copySparse seeks over blocks of zeros instead of writing them. It reads a sparse
// source completely: reading a hole is as fast as memory.
func copySparse(ctx context.Context, w *os.File, r io.Reader) error {
	buf := make([]byte, copyBlock)
	size := int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := io.ReadFull(r, buf)
		if n > 0 && !zeros(buf[:n]) {
			if _, werr := w.WriteAt(buf[:n], size); werr != nil {
				return werr
			}
		}
		size += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return w.Truncate(size)
		}
		if err != nil {
			return err
		}
	}
}

func zeros(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}
