package build

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"ingot/backend/family"
	"ingot/backend/family/all"
	"ingot/backend/guest"
	"ingot/backend/home"
	"ingot/backend/target"
)

// UpdateLock renews a target's lock from its archives and writes it to the user's
// targets folder. log gets apt's output.
func (l *Line) UpdateLock(ctx context.Context, name string, log io.Writer) (target.Lock, string, error) {
	r, err := l.Targets.Get(name)
	if err == nil {
		err = r.Buildable()
	}
	if err == nil {
		err = r.OwnsLock()
	}
	var f family.Family
	if err == nil {
		f, err = all.Of(r)
	}
	if err != nil {
		return target.Lock{}, "", err
	}
	g, err := l.Guest(ctx, func(what string) { fmt.Fprintln(log, what) })
	if err != nil {
		return target.Lock{}, "", err
	}
	defer g.Close()
	g = guest.Tracked(g, l.Children)
	w := &family.Work{Guest: g, Recipe: r, Log: log}
	lock, err := f.Resolve(ctx, w, f.Mirrors(ctx, g, r, l.Config.Mirrors), time.Now().UTC())
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
