package build

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"ingot/backend/disk"
	"ingot/backend/evidence"
	"ingot/backend/fetch"
	"ingot/backend/home"
	"ingot/backend/image"
	"ingot/backend/target"
)

func now() time.Time { return time.Now().UTC() }

func inspect(path string) (disk.Info, error) {
	info, err := disk.Inspect(path)
	return info, ImageError(err)
}

// fetchInputs makes sure of the locked inputs of those steps that will run. A
// failure is that of the first of them, which cannot begin.
func (r *run) fetchInputs(ctx context.Context, k Keys, needRootfs bool) error {
	var (
		need []target.LockedPackage
		fail func(error) error
	)
	if needRootfs && !r.done(StepRootfs, k.Rootfs.Key(), "") {
		need = append(need, r.lock.Rootfs...)
		fail = func(err error) error { return r.stepFailed(ctx, StepRootfs, k.Rootfs.Key(), "", err) }
	}
	if !r.done(StepKernel, k.Kernel.Key(), evidence.KindKernel) {
		need = append(need, r.lock.Kernel)
		fail = func(err error) error {
			return r.stepFailed(ctx, StepKernel, k.Kernel.Key(), evidence.KindKernel, err)
		}
	}
	if err := r.fetchPackages(ctx, need); err != nil {
		return fail(err)
	}
	return nil
}

// fetchPackages downloads locked packages that are not in the cache yet.
func (r *run) fetchPackages(ctx context.Context, pkgs []target.LockedPackage) error {
	if len(pkgs) == 0 {
		return nil
	}
	var missing uint64
	cache := fetch.Cache{Dir: filepath.Join(r.Home.Cache, "inputs")}
	for _, p := range pkgs {
		if !cache.Has(p.SHA256) {
			missing += uint64(p.Size)
		}
	}
	if missing > 0 {
		if err := home.NeedSpace(r.Home.Cache, missing, "download of the locked packages"); err != nil {
			return err
		}
	}
	mirrors := image.FindMirrors(ctx, r.guest, r.recipe, r.Config.Mirrors)
	inputs := make([]fetch.Input, len(pkgs))
	for i, p := range pkgs {
		inputs[i] = fetch.Input{Name: p.Name + " " + p.Version, SHA256: p.SHA256, Size: p.Size, URLs: mirrors.URLs(r.recipe, p)}
	}
	paths, err := cache.All(ctx, inputs, r.progress("fetch"))
	if err != nil {
		var gone *fetch.GoneError
		if errors.As(err, &gone) {
			err = &target.StaleLockError{Target: r.recipe.Name, Why: gone.Error()}
		}
		return err
	}
	if r.inputs == nil {
		r.inputs = map[string]string{}
	}
	for i, p := range pkgs {
		r.inputs[p.SHA256] = paths[i]
	}
	return nil
}

// ImageDir is the finished image step's folder for the recipe and lock as they
// are now; fs.ErrNotExist when there is none, or when its files were changed.
func (l *Line) ImageDir(_ context.Context, r target.Recipe) (string, error) {
	lock, err := l.Targets.Lock(r)
	if err != nil {
		return "", err
	}
	frags, err := Fragments(l.Targets, r)
	if err != nil {
		return "", err
	}
	out, ok := l.store(evidence.KindImage).load(StepImage, KeysOf(r, lock, frags).Image.Key())
	if !ok {
		return "", fs.ErrNotExist
	}
	return out.Dir, nil
}
