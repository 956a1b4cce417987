package status

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"ingot/backend"
	"ingot/backend/guest/lima"
)

// Template returns the address or path of the Lima template that from names: an
// address, a file, or a published target.
func Template(ctx context.Context, b *backend.Backend, from string) (string, error) {
	lower := strings.ToLower(from)
	switch {
	case strings.HasPrefix(lower, "http://"), strings.HasPrefix(lower, "https://"):
		return from, nil
	case strings.HasSuffix(lower, ".yaml"), strings.HasSuffix(lower, ".yml"):
		return filepath.Abs(from) // resolved now, since an open local store changes the working directory
	}
	if _, err := b.Targets.Get(from); err != nil {
		return "", err
	}
	all, err := Artifacts(ctx, b)
	if err != nil {
		return "", err
	}
	for _, a := range all {
		if a.Target == from && a.Template != "" {
			return a.Template, nil
		}
	}
	return "", &lima.Error{ID: "lima.no-template", Msg: "target " + from, Err: errors.New("it is not published: run `ingot build` first")}
}
