package github

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"ingot/backend/limit"
	"ingot/backend/publish"
)

// Reader reads a published release of a public repository. It is safe for concurrent use.
type Reader struct {
	base, tag string
	mu        sync.Mutex
	nested    map[string][]byte // files of the bundle; nil until it was read
}

// OpenRelease returns a reader of OWNER/REPO@TAG.
func OpenRelease(name string) (*Reader, error) {
	rest, tag, ok := strings.Cut(name, "@")
	r, err := repository(rest)
	if err != nil || !ok || tag == "" {
		return nil, &publish.NameError{Name: Scheme + ":" + name, Known: []string{Scheme + ":OWNER/REPO@TAG"}}
	}
	return &Reader{base: r.ID() + "/releases/download/" + url.PathEscape(tag) + "/", tag: tag}, nil
}

// Base returns the address of the assets, with the final slash.
func (r *Reader) Base() string { return r.base }

// Names reports whether a release with the folder is the one that is read.
func (r *Reader) Names(dir string) bool { return Tag(dir) == r.tag }

// Get opens an asset, a file that is stored in parts, or one of the bundle.
func (r *Reader) Get(ctx context.Context, name string, from, most int64) (io.ReadCloser, error) {
	if !strings.Contains(name, "/") {
		body, err := publish.HTTPReader{Base: r.base}.Get(ctx, url.PathEscape(name), from, most)
		var odd *limit.AnswerError
		if !errors.As(err, &odd) || odd.Status != http.StatusNotFound {
			return body, err
		}
		if whole, jerr := joined(ctx, r.base, name, from, most); jerr == nil {
			return whole, nil
		}
		return nil, err
	}
	data, err := r.file(ctx, name)
	if err != nil {
		return nil, err
	}
	if from > int64(len(data)) || int64(len(data)) > most {
		return nil, fmt.Errorf("%s%s#%s has %d bytes, at most %d were expected", r.base, bundle, name, len(data), most)
	}
	return io.NopCloser(bytes.NewReader(data[from:])), nil
}

func (r *Reader) file(ctx context.Context, name string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.nested == nil {
		body, err := publish.HTTPReader{Base: r.base}.Get(ctx, bundle, 0, smallAsset)
		if err != nil {
			return nil, err
		}
		defer body.Close()
		if r.nested, err = filesOf(io.LimitReader(body, smallAsset)); err != nil {
			return nil, fmt.Errorf("%s%s cannot be read: %w", r.base, bundle, err)
		}
	}
	data, ok := r.nested[name]
	if !ok {
		return nil, fmt.Errorf("%s%s has no %s", r.base, bundle, name)
	}
	return data, nil
}
