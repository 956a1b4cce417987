package build

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"ingot/backend/guest"
	"ingot/backend/home"
	"ingot/backend/image"
	"ingot/backend/target"
)

// UpdateLock renews a target's lock from its archives and writes it into the
// user's targets folder. log gets what apt says.
func (l *Line) UpdateLock(ctx context.Context, name string, log io.Writer) (target.Lock, string, error) {
	r, err := l.Targets.Get(name)
	if err != nil {
		return target.Lock{}, "", err
	}
	g, err := l.Guest(ctx)
	if err != nil {
		return target.Lock{}, "", err
	}
	defer g.Close()
	g = guest.Tracked(g, l.Children)
	w := &image.Work{Guest: g, Recipe: r, Log: log}
	lock, err := image.Resolve(ctx, w, image.FindMirrors(ctx, g, r, l.Config.Mirrors), now())
	if err != nil {
		return target.Lock{}, "", fmt.Errorf("renew the lock of %s: %w", name, err)
	}
	text, err := lock.Marshal()
	if err != nil {
		return lock, "", err
	}
	path := l.Targets.LockPath(r)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return lock, "", fmt.Errorf("renew the lock of %s: %w", name, err)
	}
	return lock, path, home.WriteFileAtomic(path, text, 0o644)
}
