package publish

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"ingot/backend/secret"
)

// published reports whether the release is already there with the same disks and a
// signature of this publisher. Then it is not changed: documents that were recorded
// since – about another guest, by another version of Ingot – do not make it another
// release. The returned manifest is that of the release, and p.done are its files, each
// of which was read back.
func (p *publishing) published(ctx context.Context) (manifest File, complete bool, err error) {
	const name, list = "manifest.json", "SHA256SUMS"
	there := map[string][]byte{}
	for _, n := range []string{name, list, list + ".minisig"} {
		text, _, ok, err := p.Get(ctx, path.Join(p.dir, n))
		if err != nil {
			return File{}, false, fmt.Errorf("%s: %w", n, err)
		}
		if !ok {
			return File{}, false, nil
		}
		there[n] = text
	}
	if _, ours := secret.VerifyMinisignAny(p.opt.Keys, there[list], there[list+".minisig"]); !ours || secret.MinisignComment(there[list+".minisig"]) != p.dir+" "+list {
		return File{}, false, nil
	}
	var m struct{ Files []manifestFile }
	if json.Unmarshal(there[name], &m) != nil || !listed(there[list], Published{Name: name, SHA256: fmt.Sprintf("%x", sha256.Sum256(there[name]))}) {
		return File{}, false, nil
	}
	for _, d := range p.done { // the disks, which were read back
		if !slices.ContainsFunc(m.Files, func(f manifestFile) bool { return f.Name == d.Name && f.SHA256 == d.SHA256 }) {
			return File{}, false, nil
		}
	}
	var files []Published
	for _, f := range m.Files {
		key := path.Join(p.dir, f.Name)
		if !slices.ContainsFunc(p.done, func(d Published) bool { return d.Name == f.Name }) {
			got, err := p.ReadBack(ctx, key)
			if errors.Is(err, ErrAbsent) || err == nil && got.SHA256 != f.SHA256 { // an interrupted draft
				return File{}, false, nil
			}
			if err != nil {
				return File{}, false, err
			}
		}
		files = append(files, Published{Name: f.Name, URL: p.Public(key), SHA256: f.SHA256, SHA512: f.SHA512, Size: f.Size})
	}
	p.done = files
	return File{Name: name, Data: there[name], MediaType: "application/json"}, true, nil
}

// listed reports whether a list of digests contains the file.
func listed(list []byte, f Published) bool {
	return slices.Contains(strings.Split(string(list), "\n"), f.SHA256+"  "+f.Name)
}
