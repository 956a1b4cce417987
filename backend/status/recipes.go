package status

import (
	"context"
	"errors"

	"github.com/goccy/go-yaml"

	"ingot/backend"
	"ingot/backend/build"
	"ingot/backend/family/all"
	"ingot/backend/home"
	"ingot/backend/target"
)

// RecipeText returns a target's recipe with everything that it extends, and the
// file that it was read from.
func RecipeText(b *backend.Backend, name string) (file, text string, err error) {
	r, err := b.Targets.Get(name)
	if err != nil {
		return "", "", err
	}
	data, err := yaml.Marshal(r)
	return r.Origin(), string(data), err
}

// Fork writes a recipe of the user's own that extends the target name, and
// returns the path of the file.
func Fork(ctx context.Context, b *backend.Backend, name, as string) (string, error) {
	lock, err := b.Lock(ctx, home.LockOptions{Purpose: "fork of " + name, Wait: true})
	if err != nil {
		return "", err
	}
	file, err := b.Targets.Fork(name, as)
	return file, errors.Join(err, lock.Unlock())
}

// Validate checks a target's recipe, lock and kernel fragments. If the recipe's
// strategy is not implemented yet, only its keys are checked.
func Validate(b *backend.Backend, name string) error {
	r, err := b.Targets.Get(name)
	if err != nil || r.Buildable() != nil {
		return err
	}
	lock, err := b.Targets.Lock(r)
	if err != nil {
		return err
	}
	if err := lock.Check(r); err != nil {
		return err
	}
	frags, err := build.Fragments(b.Targets, r)
	if err != nil || r.How() != target.Compose {
		return err
	}
	f, err := all.Composer(r)
	if err == nil {
		_, err = f.CheckFragments(frags)
	}
	return err
}
