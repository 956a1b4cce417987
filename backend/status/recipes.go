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

// RecipeSource returns the file of a target as it was written, and whether it is the
// user's own, which can be saved; see target.Set.Source.
func RecipeSource(b *backend.Backend, name string) (file, text string, own bool, err error) {
	return b.Targets.Source(name)
}

// TryRecipe checks another text of a target's file: its keys, and what it extends. It
// returns the recipe that it would be, as RecipeText does, and the one that it extends; ""
// if that is none.
func TryRecipe(b *backend.Backend, name, text string) (whole, base string, err error) {
	r, extended, err := b.Targets.Try(name, text)
	if err != nil {
		return "", "", err
	}
	data, err := yaml.Marshal(r)
	if err != nil || extended == nil {
		return string(data), "", err
	}
	from, err := yaml.Marshal(*extended)
	return string(data), string(from), err
}

// SaveRecipe writes another text into the file of a target of the user's own; its mode and
// a symbolic link stay. A text with mistakes is not written, and neither is one of a file
// that was changed since it was read: before is the text that was read. Builds that run
// have their recipe already, so it waits for none.
func SaveRecipe(b *backend.Backend, name, before, text string) error {
	file, _, own, err := b.Targets.Source(name)
	switch {
	case err != nil:
		return err
	case !own:
		return &backend.FileError{File: file, Err: errors.New("it is part of Ingot and cannot be changed: make a version of your own")}
	}
	if _, _, err := b.Targets.Try(name, text); err != nil {
		return err
	}
	if _, now, _, err := b.Targets.Source(name); err != nil || now != before {
		return errors.Join(err, &backend.FileError{File: file, Err: errors.New("another program has changed it since it was read: read it again")})
	}
	return home.ReplaceText(file, []byte(text))
}
