package backend

import (
	"context"
	"errors"

	"github.com/goccy/go-yaml"

	"ingot/backend/home"
)

// RecipeText is a target's recipe with everything that it extends, and the file
// that it was read from.
func (b *Backend) RecipeText(name string) (file, text string, err error) {
	r, err := b.targets.Get(name)
	if err != nil {
		return "", "", err
	}
	data, err := yaml.Marshal(r)
	return r.Origin(), string(data), err
}

// Fork makes a recipe of the user's own that extends a target, and returns its
// file for an editor.
func (b *Backend) Fork(ctx context.Context, name, as string) (string, error) {
	lock, err := b.lock(ctx, home.LockOptions{Purpose: "fork of " + name, Wait: true})
	if err != nil {
		return "", err
	}
	file, err := b.targets.Fork(name, as)
	return file, errors.Join(err, lock.Unlock())
}

// Config is the user's configuration as it was read at Open.
func (b *Backend) Config() Config { return b.config }
