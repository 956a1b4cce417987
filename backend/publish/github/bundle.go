package github

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"ingot/backend/publish"
)

// keepNested keeps a file for the bundle.
func (d *draft) keepNested(ctx context.Context, name string, f publish.File, want publish.Published) (made bool, err error) {
	if d.ended { // the bundle is what it is
		_, ok, err := d.nestedFile(ctx, name)
		if err == nil && !ok {
			err = &publish.Error{Cause: "publish.conflict", Msg: fmt.Sprintf("the release %s was published without %s, and a published release is not changed", d.tag, name)}
		}
		return false, err
	}
	r, err := publish.OpenFile(f)
	if err != nil {
		return false, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, smallAsset+1))
	if err != nil {
		return false, err
	}
	if len(data) > smallAsset {
		return false, &publish.Error{Cause: "publish.too-large", Msg: fmt.Sprintf("%s has more than %d MiB", name, smallAsset>>20)}
	}
	got, err := publish.SHA256Of(bytes.NewReader(data))
	if err != nil {
		return false, err
	}
	if got.SHA256 != want.SHA256 {
		return false, publish.Changed(f, got.SHA256)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kept[name] = data
	return true, nil
}

// readNested returns the digest of a file of the bundle.
func (d *draft) readNested(ctx context.Context, name string) (publish.Published, error) {
	data, ok, err := d.nestedFile(ctx, name)
	if err == nil && !ok {
		err = fmt.Errorf("%s in %s: %w", name, bundle, publish.ErrAbsent)
	}
	if err != nil {
		return publish.Published{}, err
	}
	return publish.SHA256Of(bytes.NewReader(data))
}

// nestedFile returns a file that was kept, or one of the bundle that the release has.
func (d *draft) nestedFile(ctx context.Context, name string) (data []byte, ok bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if data, ok = d.kept[name]; ok {
		return data, true, nil
	}
	if a := d.assets[bundle]; d.had == nil && a != nil && whole(a) && a.GetSize() <= smallAsset {
		r, err := d.open(ctx, a)
		if err != nil {
			return nil, false, err
		}
		defer r.Close()
		if d.had, err = filesOf(io.LimitReader(r, smallAsset)); err != nil {
			return nil, false, fmt.Errorf("%s of the release %s: %w", bundle, d.tag, err)
		}
	}
	data, ok = d.had[name]
	return data, ok, nil
}

// tarOf returns a tar of the files: the same files give the same bytes.
func tarOf(files map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Format: tar.FormatUSTAR})
		if err == nil {
			_, err = w.Write(files[name])
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", bundle, name, err)
		}
	}
	return out.Bytes(), w.Close()
}

// filesOf reads the regular files of a tar, at most smallAsset bytes of them.
func filesOf(r io.Reader) (map[string][]byte, error) {
	files, left := map[string][]byte{}, int64(smallAsset)
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg || !strings.Contains(h.Name, "/") {
			continue
		}
		// a sparse file of a few bytes can have any size
		if left -= h.Size; left < 0 {
			return nil, fmt.Errorf("its files have more than %d MiB", smallAsset>>20)
		}
		if files[h.Name], err = io.ReadAll(io.LimitReader(t, h.Size)); err != nil {
			return nil, err
		}
	}
}
