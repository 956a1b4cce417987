// Package publish writes a finished release to a destination where others read it: a
// Publisher, which package all creates. This package makes the layout, manifest, sums,
// signature and catalogue, on top of a Store of objects by name, in the same way for
// every destination.
//
// A release is a folder of immutable objects,
// <prefix>/<os>/<release>/<arch>/<version>/, written create-only. Only the catalogue
// (index.json, index.html) and the pointers (latest.json, latest.yaml) are written
// again, and only after everything that they name was read back and compared; and
// ingot.pub, after a change of the publisher's key. A Receipt records what an anonymous
// reader got from the public address. The package does not depend on evidence: it gets
// files and plain data.
//
// External facts: minisign's file formats, Lima's template fields (lima-vm/lima
// pkg/limatype).
package publish

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// File is one file of a release, either at Path or with its bytes in Data. SHA256,
// lower-case hex, is the digest from its evidence; a file at Path needs one. Other
// bytes are refused with the cause image.digest-changed before the object exists.
type File struct {
	Name      string // relative to the release's folder
	Path      string
	Data      []byte
	SHA256    string
	MediaType string
	Disk      bool // a disk image: uploaded and read back before other files
}

// Source is the source package of software under a copyleft licence.
type Source struct {
	Package string   `json:"package"` // name=version
	URLs    []string `json:"urls"`
}

// Release is a release to publish.
type Release struct {
	OS, Release, Variant, Arch, Version string
	KernelRelease, KernelBuildID        string
	Proven                              bool
	Unscanned                           bool   // has a file system that the leak scan could not read; shown in its version
	Proof                               string // evidence id
	Files                               []File
	Inputs                              map[string]string // name → digest: recipe, lock, suites
	Packages                            []string
	Sources                             []Source
	Tools                               map[string]string // name → version
}

// Signer signs checksum lists. It is implemented by secret.Signer.
type Signer interface {
	MinisignPublic() string
	MinisignSign(message []byte, comment string) []byte
}

// Options are the options of one publish.
type Options struct {
	Signer        Signer
	Keys          map[string]ed25519.PublicKey // the publisher's keys by key id: the signer's and earlier ones
	AllowUnproven bool
	Progress      func(done, total int64) // bytes sent; may be nil
	HTTP          *http.Client            // for anonymous reads; nil uses one for the endpoint
	Unfinished    string                  // folder of notes about interrupted uploads, which the next publish to the same bucket and name resumes; "" aborts them
}

// Receipt records what was read back from the public address.
type Receipt struct {
	URL        string // of the release's folder
	DiskURL    string
	DiskSHA256 string
	DiskSize   int64
	Version    string
	Anonymous  bool
	Local      bool
	Files      []Published
	At         time.Time
}

// Published is one object with the digest that was read back.
type Published struct {
	Name, URL, SHA256, SHA512 string
	Size                      int64
}

var namePart = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// IsName reports whether a name can be one segment of an address.
func IsName(name string) bool { return namePart.MatchString(name) }

// check refuses what must not be published or cannot be named.
func (r Release) check(opt Options) error {
	for what, v := range map[string]string{"os": r.OS, "release": r.Release, "variant": r.Variant, "arch": r.Arch, "version": r.Version} {
		if !IsName(v) {
			return &Error{Cause: "publish.failed", Msg: fmt.Sprintf("%s %q cannot be part of an address", what, v)}
		}
	}
	if !r.Proven && !opt.AllowUnproven {
		return &Error{Cause: "publish.unproven", Msg: "the artifact has no passed boot proof"}
	}
	if r.Arch != "arm64" && r.Arch != "amd64" {
		return &Error{Cause: "publish.failed", Msg: fmt.Sprintf("architecture %q has no name in Lima's templates", r.Arch)}
	}
	seen, disk := map[string]bool{"manifest.json": true, "lima.yaml": true, "SHA256SUMS": true, "SHA512SUMS": true}, false
	for _, f := range r.Files {
		if !filepath.IsLocal(f.Name) || seen[f.Name] || strings.ContainsAny(f.Name, "\n\\") {
			return &Error{Cause: "publish.failed", Msg: fmt.Sprintf("a release cannot hold a file named %q, or not twice", f.Name)}
		}
		if f.Path != "" && f.SHA256 == "" {
			return &Error{Cause: "publish.failed", Msg: fmt.Sprintf("%s has no digest from its evidence", f.Name)}
		}
		seen[f.Name] = true
		disk = disk || f.Disk
	}
	if !disk {
		return &Error{Cause: "publish.failed", Msg: "the release has no disk"}
	}
	return nil
}

// published returns the version under which the release is published: it says what is not
// known of it.
func (r Release) published() string {
	version := r.Version
	if !r.Proven {
		version += "-unproven"
	}
	if r.Unscanned {
		version += "-unscanned"
	}
	return version
}

// Dir returns the folder of the published release, relative to a prefix.
func (r Release) Dir() string { return path.Join(r.OS, r.Release, r.Arch, r.published()) }

// ToStore publishes a release to a store: first the disks, each of which is read back
// from its public address, then the other files, manifest, sums and signature, the
// catalogue and the pointers. At the end it reads the public lima.yaml.
func ToStore(ctx context.Context, s Store, r Release, opt Options) (Receipt, error) {
	if err := r.check(opt); err != nil {
		return Receipt{}, err
	}
	dir := r.Dir()
	r.Version = r.published()
	p := &publishing{Store: s, r: r, opt: opt, dir: dir}
	receipt, err := p.run(ctx)
	if err != nil {
		return Receipt{}, Classify(err, p.causer())
	}
	return receipt, nil
}

// causer returns the store's CauseOf, or nil.
func (p *publishing) causer() func(error) string {
	if c, ok := p.Store.(Causer); ok {
		return c.CauseOf
	}
	return nil
}

// publishing is one publish in progress.
type publishing struct {
	Store
	r     Release
	opt   Options
	dir   string // relative to the prefix
	done  []Published
	disks []string // names of those that were read from the public address
	sent  int64
	all   int64
}

func (p *publishing) run(ctx context.Context) (Receipt, error) {
	if err := p.Check(ctx); err != nil {
		return Receipt{}, err
	}
	disks, rest := split(p.r.Files)
	for _, f := range p.r.Files {
		p.all += fileSize(f)
	}
	for _, f := range disks {
		if err := p.file(ctx, f); err != nil {
			return Receipt{}, err
		}
	}
	manifest, complete, err := p.published(ctx)
	if err != nil {
		return Receipt{}, err
	}
	if !complete {
		if manifest, err = p.describe(ctx, rest); err != nil {
			return Receipt{}, err
		}
	}
	if err := p.manifestAndSums(ctx, manifest); err != nil {
		return Receipt{}, err
	}
	if draft, ok := p.Store.(Draft); ok {
		err = p.finish(ctx, draft)
	} else {
		err = p.catalogue(ctx)
	}
	if err != nil {
		return Receipt{}, err
	}
	return p.readAnonymously(ctx)
}

// finish makes a draft public and reads its disks as everybody will.
func (p *publishing) finish(ctx context.Context, d Draft) error {
	if err := d.Finish(ctx); err != nil {
		return err
	}
	for _, f := range p.r.Files {
		if !f.Disk {
			continue
		}
		want := p.done[slices.IndexFunc(p.done, func(d Published) bool { return d.Name == f.Name })]
		other, err := p.publicDiffers(ctx, f.Name, want)
		if err == nil {
			err = other
		}
		if err != nil {
			return err
		}
		p.disks = append(p.disks, f.Name)
	}
	return nil
}

// describe writes the files beside the disks, and returns the manifest of all files.
func (p *publishing) describe(ctx context.Context, rest []File) (File, error) {
	parted, is := p.Store.(Parted)
	if !is || !parted.InParts(path.Join(p.dir, p.disk().Name)) { // limactl downloads one address
		lima, err := p.limaTemplate()
		if err != nil {
			return File{}, err
		}
		rest = append(rest, lima)
	}
	if err := p.files(ctx, rest); err != nil {
		return File{}, err
	}
	return p.manifest()
}

func split(files []File) (disks, rest []File) {
	for _, f := range files {
		if f.Disk {
			disks = append(disks, f)
		} else {
			rest = append(rest, f)
		}
	}
	sort.Slice(rest, func(i, j int) bool { return rest[i].Name < rest[j].Name })
	return disks, rest
}

// manifestAndSums writes the manifest, then the lists of all files, signed.
func (p *publishing) manifestAndSums(ctx context.Context, manifest File) error {
	if err := p.file(ctx, manifest); err != nil {
		return err
	}
	kinds := []struct {
		name string
		sum  func(Published) string
	}{{"SHA256SUMS", func(f Published) string { return f.SHA256 }}, {"SHA512SUMS", func(f Published) string { return f.SHA512 }}}
	lists := make([]File, 2*len(kinds))
	signing, sctx := errgroup.WithContext(ctx)
	for i, k := range kinds {
		text := sums(p.done, k.sum)
		signing.Go(func() error {
			sig, err := p.signature(sctx, k.name, text)
			lists[2*i], lists[2*i+1] = File{Name: k.name, Data: text, MediaType: "text/plain"}, File{Name: k.name + ".minisig", Data: sig, MediaType: "text/plain"}
			return err
		})
	}
	if err := signing.Wait(); err != nil {
		return err
	}
	writing, wctx := errgroup.WithContext(ctx) // the key is no file of the release
	writing.Go(func() error { return p.files(wctx, lists) })
	writing.Go(func() error {
		if _, draft := p.Store.(Draft); !draft {
			return p.publicKey(wctx)
		}
		name, ours := path.Join(p.dir, publicKeyName), []byte(p.opt.Signer.MinisignPublic()) // every release has its own
		if err := p.keep(wctx, name, ours); err != nil {
			return err
		}
		return p.holds(wctx, name, ours)
	})
	return writing.Wait()
}

// sums returns a list in the GNU format, sorted by name.
func sums(files []Published, sum func(Published) string) []byte {
	lines := make([]string, len(files))
	for i, f := range files {
		lines[i] = sum(f) + "  " + f.Name
	}
	sort.Slice(lines, func(i, j int) bool {
		return lines[i][strings.Index(lines[i], "  "):] < lines[j][strings.Index(lines[j], "  "):]
	})
	return []byte(strings.Join(lines, "\n") + "\n")
}

// readAnonymously reads lima.yaml from the public address without credentials, where the
// disks were read before, and returns the receipt.
func (p *publishing) readAnonymously(ctx context.Context) (Receipt, error) {
	rec := Receipt{URL: p.Public(p.dir) + "/", Version: p.r.Version, Local: p.Local(), Files: p.done, At: time.Now().UTC()}
	for _, f := range p.done {
		if f.Name != "lima.yaml" {
			continue
		}
		other, err := p.publicDiffers(ctx, f.Name, f)
		if err == nil {
			err = other
		}
		if err != nil {
			return Receipt{}, err
		}
	}
	disk := p.disk()
	if !slices.Contains(p.disks, disk.Name) {
		return Receipt{}, errors.New("the disk was not read back")
	}
	rec.DiskURL, rec.DiskSHA256, rec.DiskSize, rec.Anonymous = disk.URL, disk.SHA256, disk.Size, true
	return rec, nil
}

// disk returns the first disk of the release.
func (p *publishing) disk() Published {
	for _, f := range p.r.Files {
		if !f.Disk {
			continue
		}
		for _, d := range p.done {
			if d.Name == f.Name {
				return d
			}
		}
	}
	return Published{}
}
