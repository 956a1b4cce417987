// Package publish puts a finished release onto S3-compatible storage.
//
// A release is a folder of immutable objects, <prefix>/<os>/<release>/<arch>/
// <version>/, written create-only. Only the catalogue (index.json, index.html)
// and the pointers (latest.json, latest.yaml) are ever written again, and only
// after everything they name was read back and compared; and ingot.pub, when
// the publisher's key was changed. A Receipt says what an anonymous reader got
// from the public address. The package knows nothing of evidence: it is given
// files and plain facts.
//
// External facts: S3's conditional writes (If-None-Match, If-Match), minisign's
// file formats, Lima's template fields (lima-vm/lima pkg/limatype).
package publish

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Endpoint is a place on a storage service. PublicURL is the address under
// which <prefix> can be read without credentials; "" is URL/Bucket.
type Endpoint struct {
	URL, Region, Bucket, Prefix string
	PathStyle                   bool
	CAFile                      string
	PublicURL                   string
	Local                       bool // served by the local store only
	Credentials                 *credentials.Credentials
}

// public is the base address of the prefix for anonymous readers.
func (e Endpoint) public() string {
	base := strings.TrimSuffix(e.PublicURL, "/")
	if base == "" {
		base = strings.TrimSuffix(e.URL, "/") + "/" + e.Bucket
		if e.Prefix != "" {
			base += "/" + strings.Trim(e.Prefix, "/")
		}
	}
	return base
}

// ID names the endpoint for input keys; it holds no secret.
func (e Endpoint) ID() string { return e.public() }

// File is one file of a release: at Path, or its bytes in Data.
type File struct {
	Name      string // relative to the release's folder
	Path      string
	Data      []byte
	MediaType string
	Disk      bool // a disk image: uploaded and read back first
}

// Source is the source package of something under a copyleft licence.
type Source struct {
	Package string   `json:"package"` // name=version
	URLs    []string `json:"urls"`
}

// Release is what to publish.
type Release struct {
	OS, Release, Variant, Arch, Version string
	KernelRelease, KernelBuildID        string
	Proven                              bool
	Proof                               string // evidence id
	Files                               []File
	Inputs                              map[string]string // name → digest: recipe, lock, suites
	Packages                            []string
	Sources                             []Source
	Tools                               map[string]string // name → version
}

// Signer signs checksum lists; secret.Signer is one.
type Signer interface {
	MinisignPublic() string
	MinisignSign(message []byte, comment string) []byte
}

// Options of one publish.
type Options struct {
	Signer        Signer
	Keys          map[string]ed25519.PublicKey // the publisher's, by key id: the signer's and those before it
	AllowUnproven bool
	Progress      func(done, total int64) // bytes sent; may be nil
	HTTP          *http.Client            // for anonymous reads; nil is one made for the endpoint
	Unfinished    string                  // folder that notes uploads cut off, which the next publish of the same bytes goes on with; "" takes them back
}

// Receipt is what was read back from the public address.
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

// check refuses what must not be published or cannot be named.
func (r Release) check(opt Options) error {
	for what, v := range map[string]string{"os": r.OS, "release": r.Release, "variant": r.Variant, "arch": r.Arch, "version": r.Version} {
		if !namePart.MatchString(v) {
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
		seen[f.Name] = true
		disk = disk || f.Disk
	}
	if !disk {
		return &Error{Cause: "publish.failed", Msg: "the release holds no disk"}
	}
	return nil
}

// Publish uploads the release in the order that keeps readers safe, and reads
// it back. It may be repeated: what is there already is compared, not sent.
func Publish(ctx context.Context, e Endpoint, r Release, opt Options) (Receipt, error) {
	if err := r.check(opt); err != nil {
		return Receipt{}, err
	}
	if !r.Proven {
		r.Version += "-unproven"
	}
	c, err := newClient(e)
	if err != nil {
		return Receipt{}, classify(err)
	}
	c.unfinished = opt.Unfinished
	if opt.HTTP == nil {
		opt.HTTP = c.http
	}
	p := &publishing{client: c, r: r, opt: opt, dir: path.Join(r.OS, r.Release, r.Arch, r.Version)}
	receipt, err := p.run(ctx)
	if err != nil {
		return Receipt{}, classify(err)
	}
	return receipt, nil
}

// publishing is one publish in progress.
type publishing struct {
	*client
	r    Release
	opt  Options
	dir  string // below the prefix
	done []Published
	sent int64
	all  int64
}

func (p *publishing) run(ctx context.Context) (Receipt, error) {
	if err := p.checkBucket(ctx); err != nil {
		return Receipt{}, err
	}
	p.abandon(ctx)
	disks, rest := split(p.r.Files)
	for _, f := range p.r.Files {
		p.all += fileSize(f)
	}
	for _, f := range disks {
		if err := p.file(ctx, f); err != nil {
			return Receipt{}, err
		}
	}
	lima, err := p.limaTemplate()
	if err != nil {
		return Receipt{}, err
	}
	rest = append(rest, lima)
	for _, f := range rest {
		if err := p.file(ctx, f); err != nil {
			return Receipt{}, err
		}
	}
	if err := p.manifestAndSums(ctx); err != nil {
		return Receipt{}, err
	}
	if err := p.catalogue(ctx); err != nil {
		return Receipt{}, err
	}
	return p.readAnonymously(ctx)
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

func fileSize(f File) int64 {
	if f.Path == "" {
		return int64(len(f.Data))
	}
	info, err := os.Stat(f.Path)
	if err != nil {
		return 0 // the upload will say it
	}
	return info.Size()
}

// file uploads one file create-only and compares what is then there.
func (p *publishing) file(ctx context.Context, f File) error {
	want, err := digestFile(f)
	if err != nil {
		return err
	}
	key := path.Join(p.dir, f.Name)
	made, err := p.create(ctx, key, f, want, p.progress)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	got, err := p.readBack(ctx, key)
	if err != nil {
		return fmt.Errorf("read back %s: %w", f.Name, err)
	}
	if got.Size != want.Size || got.SHA256 != want.SHA256 {
		if made {
			return fmt.Errorf("%s: the storage gave back other bytes (SHA-256 %s) than were sent (%s)", f.Name, got.SHA256, want.SHA256)
		}
		return &Error{Cause: "publish.conflict", Msg: fmt.Sprintf("%s exists with other bytes (SHA-256 %s, ours is %s)", key, got.SHA256, want.SHA256)}
	}
	want.Name, want.URL = f.Name, p.endpoint.public()+"/"+key
	p.done = append(p.done, want)
	p.sent += want.Size
	p.progress(0)
	return nil
}

// progress tells what was sent, with n bytes of the file under way.
func (p *publishing) progress(n int64) {
	if p.opt.Progress != nil {
		p.opt.Progress(p.sent+n, max(p.all, p.sent+n))
	}
}

// digestFile reads a file once for both digests.
func digestFile(f File) (Published, error) {
	r, err := openFile(f)
	if err != nil {
		return Published{}, err
	}
	defer r.Close()
	return digestReader(r)
}

func digestReader(r io.Reader) (Published, error) {
	s256, s512 := sha256.New(), sha512.New()
	n, err := io.Copy(io.MultiWriter(s256, s512), r)
	return Published{SHA256: hex.EncodeToString(s256.Sum(nil)), SHA512: hex.EncodeToString(s512.Sum(nil)), Size: n}, err
}

func openFile(f File) (io.ReadCloser, error) {
	if f.Path == "" {
		return io.NopCloser(strings.NewReader(string(f.Data))), nil
	}
	r, err := os.Open(f.Path)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return r, nil
}

// manifestAndSums writes the manifest, then the lists over all files, signed.
func (p *publishing) manifestAndSums(ctx context.Context) error {
	manifest, err := p.manifest()
	if err != nil {
		return err
	}
	if err := p.file(ctx, manifest); err != nil {
		return err
	}
	covered := append([]Published(nil), p.done...)
	for _, list := range []struct {
		name string
		sum  func(Published) string
	}{{"SHA256SUMS", func(f Published) string { return f.SHA256 }}, {"SHA512SUMS", func(f Published) string { return f.SHA512 }}} {
		text := sums(covered, list.sum)
		sig, err := p.signature(ctx, list.name, text)
		if err != nil {
			return err
		}
		for _, f := range []File{{Name: list.name, Data: text, MediaType: "text/plain"}, {Name: list.name + ".minisig", Data: sig, MediaType: "text/plain"}} {
			if err := p.file(ctx, f); err != nil {
				return err
			}
		}
	}
	return p.publicKey(ctx)
}

// sums writes the GNU format, sorted by name.
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

// readAnonymously is the receipt: the disk and lima.yaml, from the public
// address, without credentials.
func (p *publishing) readAnonymously(ctx context.Context) (Receipt, error) {
	rec := Receipt{URL: p.endpoint.public() + "/" + p.dir + "/", Version: p.r.Version, Local: p.endpoint.Local, Files: p.done, At: time.Now().UTC()}
	for _, f := range p.done {
		if f.Name != "lima.yaml" && f.Name != p.disk().Name {
			continue
		}
		got, err := anonymous(ctx, p.opt.HTTP, f.URL)
		if err != nil {
			return Receipt{}, err
		}
		if got.SHA256 != f.SHA256 {
			return Receipt{}, &Error{Cause: "publish.failed", Msg: fmt.Sprintf("%s gives other bytes to the public (SHA-256 %s, ours is %s)", f.URL, got.SHA256, f.SHA256)}
		}
		if f.Name == p.disk().Name {
			rec.DiskURL, rec.DiskSHA256, rec.DiskSize = f.URL, got.SHA256, got.Size
		}
	}
	if rec.DiskSHA256 == "" {
		return Receipt{}, errors.New("the disk was not read back")
	}
	rec.Anonymous = true
	return rec, nil
}

// disk is the first disk of the release.
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
