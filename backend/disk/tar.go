package disk

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"

	"ingot/backend/home"
)

// TarZst compresses the tar of a root file system, for OrbStack, WSL and
// chroots. It uses one encoder goroutine, so that the bytes do not depend on
// the number of cores.
func TarZst(ctx context.Context, src, dst string) error {
	in, err := os.Open(src)
	if err != nil {
		return fmt.Errorf("export tar.zst: %w", err)
	}
	defer in.Close()
	return home.CreateAtomic(dst, artifactMode, func(f *os.File) error {
		z, err := zstd.NewWriter(f, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
		if err != nil {
			return fmt.Errorf("export tar.zst: %w", err)
		}
		if _, err := io.Copy(z, ctxReader{ctx, in}); err != nil {
			return fmt.Errorf("export tar.zst: %w", err)
		}
		return z.Close()
	})
}

// ctxReader returns an error when its context is done.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
