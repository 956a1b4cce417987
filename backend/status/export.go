package status

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/build/release"
	"ingot/backend/disk"
	"ingot/backend/evidence"
	"ingot/backend/reality"
)

// Formats are the formats of exports.
func Formats() []disk.Format { return disk.Formats }

// Export writes the target's newest disk, as it was built, to dst in a format.
// progress gets bytes done and in total.
func Export(ctx context.Context, b *backend.Backend, name, format, dst string, progress func(done, total int64)) error {
	r, err := b.Targets.Get(name)
	if err != nil {
		return err
	}
	_, ferr := disk.FormatNamed(format)
	if err := errors.Join(ferr, backend.CheckOutput(dst)); err != nil {
		return err
	}
	dir, err := b.Line().ImageDir(ctx, r)
	if errors.Is(err, fs.ErrNotExist) {
		return &backend.NothingToDoError{Msg: fmt.Sprintf("%s has no finished image for its current recipe and lock: `ingot build %s --until export` makes one", name, name)}
	}
	if err != nil {
		return err
	}
	return release.Export(ctx, format, disk.About{Arch: r.Arch}, filepath.Join(dir, "disk.raw"), filepath.Join(dir, "root.tar"), dst, progress)
}

// CheckPublish returns an error if nothing can be published without building
// first.
func CheckPublish(ctx context.Context, b *backend.Backend, opt api.Submission) error {
	rows, err := Rows(ctx, b, opt.Target)
	if err != nil {
		return err
	}
	if rows[0].Exported.State != reality.Passed {
		return &backend.NothingToDoError{Msg: fmt.Sprintf("%s cannot be published, because its export is %s: run `ingot build %s`", opt.Target, rows[0].Exported.State, opt.Target)}
	}
	if rows[0].Boots.State != reality.Passed && !opt.Unproven {
		return &backend.NothingToDoError{Msg: fmt.Sprintf("%s has no passed boot proof (boots: %s): `ingot build %s` boots it, or --unproven publishes it marked as unproven", opt.Target, rows[0].Boots.State, opt.Target)}
	}
	return nil
}

// ArtifactPath returns the path of an artifact's file.
func ArtifactPath(b *backend.Backend, a evidence.Artifact) string {
	return filepath.Join(b.Home.Data, filepath.FromSlash(a.File))
}
