package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ingot/backend/build"
	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/guest/lima"
	"ingot/backend/proof"
	"ingot/backend/reality"
	"ingot/backend/target"
)

// NothingToDoError says that a target has not what an action needs.
type NothingToDoError struct{ Msg string }

func (e *NothingToDoError) Error() string { return e.Msg }

// FileError is a file named by the caller that cannot be read or written.
type FileError struct {
	File string
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("%s: %v", e.File, e.Err) }
func (e *FileError) Unwrap() error { return e.Err }

// checkOutput looks at the place of a file to be written, before work is done for
// it: its folder is there, and it is none of the user's Lima machines, whose files
// nothing is written over.
func checkOutput(file string) error {
	dir := filepath.Dir(file)
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", dir)
	}
	if err != nil {
		return &FileError{file, err}
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return &FileError{file, err}
	}
	store, err := lima.Store{}.Root()
	if err != nil {
		return nil // there is none that can be written to
	}
	if in, err := filepath.Rel(store, real); err == nil && filepath.IsLocal(in) {
		return &FileError{file, fmt.Errorf("it is in %s, where Lima keeps its machines: name a file elsewhere", store)}
	}
	return nil
}

// Export writes the target's newest disk, as it was built, in a format.
func (b *Backend) Export(ctx context.Context, name, format, dst string, progress func(done, total int64)) error {
	r, err := b.targets.Get(name)
	if err != nil {
		return err
	}
	if err := errors.Join(build.CheckFormat(format), checkOutput(dst)); err != nil {
		return err
	}
	dir, err := b.line().ImageDir(ctx, r)
	if errors.Is(err, fs.ErrNotExist) {
		return &NothingToDoError{fmt.Sprintf("%s has no finished image for its recipe and lock as they are now: `ingot build %s --until export` makes it", name, name)}
	}
	if err != nil {
		return err
	}
	if format == "tar.zst" && !contains(r, "tar.zst") {
		return &target.Error{File: r.Origin(), Key: "export.formats", Msg: "add tar.zst to build the root file system's archive along with the image"}
	}
	return build.Export(ctx, format, filepath.Join(dir, "disk.raw"), filepath.Join(dir, "root.tar"), dst, progress)
}

func contains(r target.Recipe, format string) bool {
	for _, f := range r.Export.Formats {
		if f == format {
			return true
		}
	}
	return false
}

// CheckPublish tells whether there is something that may be published without
// building anything.
func (b *Backend) CheckPublish(ctx context.Context, opt Submission) error {
	rows, err := b.Status(ctx, opt.Target)
	if err != nil {
		return err
	}
	if rows[0].Exported.State != reality.Passed {
		return &NothingToDoError{fmt.Sprintf("%s: exported is %s, so there is nothing to publish: `ingot build %s`", opt.Target, rows[0].Exported.State, opt.Target)}
	}
	if rows[0].Boots.State != reality.Passed && !opt.Unproven {
		return &NothingToDoError{fmt.Sprintf("%s: boots is %s: `ingot build %s` proves it, --unproven publishes it marked so", opt.Target, rows[0].Boots.State, opt.Target)}
	}
	return nil
}

// ArtifactPath is where the file of an artifact document lies.
func (b *Backend) ArtifactPath(a evidence.Artifact) string {
	return filepath.Join(b.Home.Data, filepath.FromSlash(a.File))
}

// Prove boots a file and returns the id of the evidence. A file that does not
// boot is a *build.NotProvenError, with the evidence kept.
func Prove(ctx context.Context, b *Backend, file, arch string, notify func(string)) (string, Proof, error) {
	if _, err := os.Stat(file); err != nil {
		return "", Proof{}, &FileError{file, cause.With("image.missing", err)}
	}
	d, p, err := b.ProveFile(ctx, file, arch, proof.Spec{Notify: notify})
	if err == nil && p.Verdict != evidence.Passed {
		err = &build.NotProvenError{Proof: p}
	}
	return d.ID, p, err
}
