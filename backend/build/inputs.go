package build

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"

	"ingot/backend/evidence"
	"ingot/backend/fetch"
	"ingot/backend/home"
	"ingot/backend/target"
)

// prepare opens the guest and downloads the locked inputs, for those steps that have
// something to do.
func (s *Session) prepare(ctx context.Context, steps []Step) error {
	for _, step := range steps {
		if step.InGuest && !s.done(step) {
			if _, err := s.guest.get(ctx); err != nil {
				return err
			}
		}
	}
	return s.fetchInputs(ctx, steps)
}

// fetchInputs downloads the locked inputs of those steps that have something to do. A
// failure is recorded for the first of them, which cannot start.
func (s *Session) fetchInputs(ctx context.Context, steps []Step) error {
	var (
		need  []target.LockedPackage
		first *Step
	)
	for _, step := range steps {
		if len(step.packages) == 0 || s.done(step) {
			continue
		}
		need = append(need, step.packages...)
		if first == nil {
			first = &step
		}
	}
	if err := s.fetchPackages(ctx, need); err != nil {
		return s.StepFailed(ctx, first.Name, first.Key, first.fails, err)
	}
	return nil
}

// fetchPackages downloads the locked packages that are not in the cache.
func (s *Session) fetchPackages(ctx context.Context, pkgs []target.LockedPackage) error {
	if len(pkgs) == 0 {
		return nil
	}
	var missing uint64
	var reported sync.Once
	cache := fetch.Cache{Dir: filepath.Join(s.Home.Cache, "inputs"), Silent: func(host string) {
		reported.Do(func() {
			s.Note("fetch", "the mirror %s has sent nothing for eight seconds: each try ends after a minute, and there are three. Another one can be given under mirrors in config.yaml", host)
		})
	}}
	for _, p := range pkgs {
		if !cache.Has(p.SHA256) {
			missing += uint64(p.Size)
		}
	}
	if missing > 0 {
		if err := home.NeedSpace(s.Home.Cache, missing, "download of the locked packages"); err != nil {
			return err
		}
	}
	g, err := s.guest.get(ctx)
	if err != nil {
		return err
	}
	recipe := s.Recipe.KernelRecipe()
	mirrors := s.Family.Mirrors(ctx, g, recipe, s.Config.Mirrors)
	inputs := make([]fetch.Input, len(pkgs))
	for i, p := range pkgs {
		inputs[i] = fetch.Input{Name: p.Name + " " + p.Version, SHA256: p.SHA256, Size: p.Size, URLs: mirrors.URLs(recipe, p)}
	}
	paths, err := cache.All(ctx, inputs, s.Progress("fetch"))
	if err != nil {
		var gone *fetch.GoneError
		if errors.As(err, &gone) {
			err = &target.StaleLockError{Target: s.Recipe.Name, Why: gone.Error()}
		}
		return err
	}
	if s.inputs == nil {
		s.inputs = map[string]string{}
	}
	for i, p := range pkgs {
		s.inputs[p.SHA256] = paths[i]
	}
	return nil
}

// ImageDir returns the folder of the image step's output for the current recipe and
// lock; fs.ErrNotExist if there is none, or if its files were changed.
func (l *Line) ImageDir(_ context.Context, r target.Recipe) (string, error) {
	k, err := l.KeysNow(r)
	if err != nil {
		return "", err
	}
	out, ok := l.Outputs(evidence.KindImage).Load(StepImage, k.Image.Key())
	if !ok {
		return "", fs.ErrNotExist
	}
	return out.Dir, nil
}
