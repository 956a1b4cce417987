package github

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"

	"ingot/backend/publish"
)

// A file that is too large for an asset is stored as several: NAME.part001, …, and
// NAME.parts, which lists their digests, sizes and names in order. `cat NAME.part???`
// makes the file; its own digest is in SHA256SUMS.
const (
	indexSuffix = ".parts"
	partSize    = 1 << 30   // bytes
	indexLimit  = 64 << 10  // bytes
	maxFile     = 200 << 30 // bytes: 200 parts, of the 1000 assets that a release can have
)

// part is a range of a file that is an asset of its own.
type part struct {
	name         string
	offset, size int64
	sha256       string
}

// inParts are the parts of a file of this publish, and the file's own digest.
type inParts struct {
	parts []part
	whole publish.Published
}

// text returns the content of the asset NAME.parts.
func (p inParts) text() []byte {
	var b strings.Builder
	for _, part := range p.parts {
		fmt.Fprintf(&b, "%s  %d  %s\n", part.sha256, part.size, part.name)
	}
	return []byte(b.String())
}

// parseIndex reads the content of NAME.parts.
func parseIndex(name string, text []byte) (parts []part, size int64, err error) {
	wrong := func(line string) error { return fmt.Errorf("%s%s has the line %q", name, indexSuffix, line) }
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || !publish.IsSHA256(f[0]) || f[2] != partName(name, len(parts)) {
			return nil, 0, wrong(line)
		}
		n, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil || n <= 0 || n > maxFile-size {
			return nil, 0, wrong(line)
		}
		parts = append(parts, part{f[2], size, n, f[0]})
		size += n
	}
	if len(parts) == 0 {
		return nil, 0, wrong("")
	}
	return parts, size, nil
}

func partName(name string, n int) string { return fmt.Sprintf("%s.part%03d", name, n+1) }

// split reads a file once and returns its parts of at most size bytes. Other bytes than those of its evidence
// are an error, before anything of them is sent.
func split(ctx context.Context, name string, f publish.File, want publish.Published, size int64) (s inParts, err error) {
	if want.Size > maxFile {
		return s, &publish.Error{Cause: "publish.too-large", Msg: fmt.Sprintf("%s has %d GiB, and a release of GitHub can have %d", name, want.Size>>30, int64(maxFile)>>30)}
	}
	r, err := publish.OpenFile(f)
	if err != nil {
		return s, err
	}
	defer r.Close()
	whole := newHashing(ctx, r, nil)
	for off := int64(0); off < want.Size; off += size {
		sum := sha256.New()
		n, err := io.Copy(sum, io.LimitReader(whole, size))
		if err != nil {
			return s, err
		}
		s.parts = append(s.parts, part{partName(name, len(s.parts)), off, n, hex.EncodeToString(sum.Sum(nil))})
	}
	if got := whole.digest(); got != want.SHA256 {
		return s, publish.Changed(f, got)
	}
	s.whole = publish.Published{SHA256: want.SHA256, Size: want.Size}
	return s, nil
}

// createParts uploads a file as several assets, one after the other, and then their list.
func createParts(ctx context.Context, d *draft, name string, f publish.File, want publish.Published, sent func(int64)) (made bool, err error) {
	s, err := split(ctx, name, f, want, d.repo.part)
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	d.parts[name] = s
	d.mu.Unlock()
	for _, p := range s.parts {
		one := func(n int64) {
			if sent != nil {
				sent(p.offset + n)
			}
		}
		ok, err := d.createAsset(ctx, p.name, source{f, p.offset, p.size}, publish.Published{SHA256: p.sha256, Size: p.size}, one)
		if err != nil {
			return made, err
		}
		made = made || ok
	}
	index := publish.File{Name: name + indexSuffix, Data: s.text(), MediaType: "text/plain"}
	listed, err := publish.DigestFile(index)
	if err != nil {
		return made, err
	}
	ok, err := d.createAsset(ctx, index.Name, source{file: index}, listed, nil)
	return made || ok, err
}

// source is where the bytes of an asset are.
type source struct {
	file         publish.File
	offset, size int64 // of a range of the file; 0 and 0 are all of it
}

// open opens the bytes; the caller closes it.
func (s source) open() (io.ReadCloser, error) {
	r, err := publish.OpenFile(s.file)
	if err != nil || s.size == 0 {
		return r, err
	}
	f, ok := r.(*os.File)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s has no path", s.file.Name), r.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, s.offset, s.size), f}, nil
}

// readParts compares the parts with what GitHub says of them, and returns the digest of
// the whole file, which they make.
func readParts(ctx context.Context, d *draft, s inParts, name string) (publish.Published, error) {
	for _, p := range s.parts {
		got, err := d.readAsset(ctx, p.name)
		if err != nil {
			return publish.Published{}, err
		}
		if got.SHA256 != p.sha256 || got.Size != p.size {
			return got, nil // which is not the whole file's
		}
	}
	text, _, ok, err := d.Get(ctx, path.Join(d.dir, name+indexSuffix))
	if err == nil && !ok {
		err = fmt.Errorf("%s%s: %w", name, indexSuffix, publish.ErrAbsent)
	}
	if err != nil {
		return publish.Published{}, err
	}
	if string(text) != string(s.text()) {
		return publish.SHA256Of(strings.NewReader(string(text)))
	}
	d.want(name + indexSuffix)
	return s.whole, nil
}

// partsOf returns the parts of a file of this publish.
func partsOf(d *draft, name string) (inParts, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.parts[name]
	return s, ok
}

// InParts reports whether a file of the release has no address of its own.
func (d *draft) InParts(name string) bool {
	local, _ := d.local(name)
	_, ok := partsOf(d, local)
	return ok
}

// joined reads a file that is stored in parts, after its first bytes.
func joined(ctx context.Context, base, name string, from, most int64) (io.ReadCloser, error) {
	list, err := publish.HTTPReader{Base: base}.Get(ctx, url.PathEscape(name+indexSuffix), 0, indexLimit)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(list, indexLimit))
	if err = errors.Join(err, list.Close()); err != nil {
		return nil, fmt.Errorf("%s%s: %w", name, indexSuffix, err)
	}
	parts, size, err := parseIndex(name, text)
	if err != nil {
		return nil, err
	}
	if size > most || from > size {
		return nil, fmt.Errorf("%s%s has %d bytes in %d parts, at most %d were expected", base, name, size, len(parts), most)
	}
	return &joining{ctx: ctx, base: base, parts: parts, from: from}, nil
}

// joining reads the parts of a file one after the other.
type joining struct {
	ctx   context.Context
	base  string
	parts []part // that were not opened yet
	from  int64  // byte of the file at which the reading begins
	now   io.ReadCloser
}

func (j *joining) Read(b []byte) (int, error) {
	for {
		if j.now == nil {
			for len(j.parts) > 0 && j.from >= j.parts[0].offset+j.parts[0].size {
				j.parts = j.parts[1:]
			}
			if len(j.parts) == 0 {
				return 0, io.EOF
			}
			p := j.parts[0]
			r, err := publish.HTTPReader{Base: j.base}.Get(j.ctx, url.PathEscape(p.name), max(0, j.from-p.offset), p.size)
			if err != nil {
				return 0, err
			}
			j.now, j.parts = r, j.parts[1:]
		}
		n, err := j.now.Read(b)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		err = j.now.Close()
		j.now = nil
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (j *joining) Close() error {
	if j.now == nil {
		return nil
	}
	return j.now.Close()
}
