package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"
	"golang.org/x/sync/errgroup"
)

const apiVersion = "ingot/v1"

// Index is index.json, the catalogue of a prefix.
type Index struct {
	APIVersion string  `json:"apiVersion"`
	Kind       string  `json:"kind"`
	Images     []Entry `json:"images"`
}

// Entry is one release in the catalogue. Paths are relative to the prefix.
type Entry struct {
	OS            string    `json:"os"`
	Release       string    `json:"release"`
	Variant       string    `json:"variant"`
	Arch          string    `json:"arch"`
	Version       string    `json:"version"`
	Path          string    `json:"path"`
	Disk          string    `json:"disk"`
	SHA256        string    `json:"sha256"`
	Size          int64     `json:"size"`
	KernelRelease string    `json:"kernelRelease"`
	Proven        bool      `json:"proven"`
	Unscanned     bool      `json:"unscanned,omitempty"`
	Proof         string    `json:"proof,omitempty"`
	Published     time.Time `json:"published"`
}

func (e Entry) same(o Entry) bool {
	return e.Path == o.Path && e.Variant == o.Variant
}

// catalogueTries bounds the attempts to change index.json while other publishers change
// it.
const catalogueTries = 20

// catalogue adds the release to index.json, index.html and latest.*.
func (p *publishing) catalogue(ctx context.Context) error {
	d := p.disk()
	e := Entry{OS: p.r.OS, Release: p.r.Release, Variant: p.r.Variant, Arch: p.r.Arch, Version: p.r.Version, Path: p.dir, Disk: path.Join(p.dir, d.Name),
		SHA256: d.SHA256, Size: d.Size, KernelRelease: p.r.KernelRelease, Proven: p.r.Proven, Unscanned: p.r.Unscanned, Proof: p.r.Proof, Published: time.Now().UTC().Truncate(time.Second)}
	err := p.update(ctx, "index.json", "application/json", func(old []byte) ([]byte, error) {
		index, err := merge(old, e)
		if err != nil {
			return nil, err
		}
		return jsonText(index)
	})
	if err != nil {
		return fmt.Errorf("index.json: %w", err)
	}
	pages, ctx := errgroup.WithContext(ctx) // all are derived from index.json, and none from another
	pages.Go(func() error {
		err := p.update(ctx, "index.html", "text/html; charset=utf-8", func([]byte) ([]byte, error) {
			now, err := p.index(ctx)
			if err != nil {
				return nil, err
			}
			return indexPage(now)
		})
		if err != nil {
			return fmt.Errorf("index.html: %w", err)
		}
		return nil
	})
	p.latest(ctx, e, pages)
	return pages.Wait()
}

// index returns the current catalogue. Texts that are derived from it must be computed
// in update's callback, after the target's ETag was read, so that a slower publisher
// cannot replace a newer list by an older one.
func (p *publishing) index(ctx context.Context) (Index, error) {
	var index Index
	text, _, _, err := p.Get(ctx, "index.json")
	if err == nil {
		err = json.Unmarshal(text, &index)
	}
	return index, err
}

// merge adds the entry; the same version with other bytes is a conflict.
func merge(old []byte, e Entry) (Index, error) {
	index := Index{APIVersion: apiVersion, Kind: "Index"}
	if len(old) > 0 {
		if err := json.Unmarshal(old, &index); err != nil {
			return index, &Error{Cause: "publish.conflict", Msg: fmt.Sprintf("the prefix holds an index.json that is not Ingot's: %v", err), Fix: "publish under another prefix"}
		}
	}
	for i, have := range index.Images {
		if !have.same(e) {
			continue
		}
		if have.SHA256 != e.SHA256 {
			return index, &Error{Cause: "publish.conflict", Msg: fmt.Sprintf("the catalogue already has %s with other bytes (SHA-256 %s)", e.Path, have.SHA256)}
		}
		index.Images[i].Proven = have.Proven || e.Proven
		return index, nil
	}
	index.Images = append(index.Images, e)
	sort.Slice(index.Images, func(i, j int) bool { return index.Images[i].Disk < index.Images[j].Disk })
	return index, nil
}

// updates serialises the changes of mutable objects by this process: address →
// *sync.Mutex. A store that keeps objects in files checks the condition of a write
// before it writes, so that two concurrent writes may both succeed (versitygw's posix
// backend).
var updates sync.Map

// update reads a mutable object, changes it, and writes it back if no other publisher
// changed it meanwhile; otherwise it starts again. Calls in this process run one at a
// time.
func (p *publishing) update(ctx context.Context, name, mediaType string, change func(old []byte) ([]byte, error)) error {
	turn, _ := updates.LoadOrStore(p.Public(name), &sync.Mutex{})
	once := func() error {
		turn.(*sync.Mutex).Lock()
		defer turn.(*sync.Mutex).Unlock()
		old, etag, _, err := p.Get(ctx, name)
		if err != nil {
			return err
		}
		data, err := change(old)
		if err != nil || bytes.Equal(old, data) {
			return err
		}
		return p.Replace(ctx, name, data, mediaType, etag)
	}
	for try := range catalogueTries {
		if err := once(); !errors.Is(err, ErrMoved) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try+1) * 50 * time.Millisecond): // another publisher is writing: wait for it
		}
	}
	return &Error{Cause: "publish.conflict", Msg: name + " is being changed continuously by other publishers", Fix: "try again later"}
}

// latest updates the pointers to the newest proven release of its kind, at the same time.
// Only the default variant of a release has latest.*; every variant has
// latest-<variant>.*.
func (p *publishing) latest(ctx context.Context, e Entry, pages *errgroup.Group) {
	dir := path.Join(e.OS, e.Release, e.Arch)
	names := []string{"latest-" + e.Variant, "latest"}
	for _, name := range names {
		if name == "latest" && e.Variant != defaultVariant {
			continue
		}
		for ext, media := range map[string]string{"json": "application/json", "yaml": "application/yaml"} {
			pages.Go(func() error {
				err := p.update(ctx, path.Join(dir, name+"."+ext), media, func(old []byte) ([]byte, error) { return p.pointer(ctx, e, ext, old) })
				if err != nil {
					return fmt.Errorf("%s.%s: %w", name, ext, err)
				}
				return nil
			})
		}
	}
}

// defaultVariant is the variant of latest.* without a variant in the name.
const defaultVariant = "server"

// pointer returns the text of latest.json or latest.yaml for the current catalogue. If
// no release is proven it returns old, so that no pointer is created.
func (p *publishing) pointer(ctx context.Context, e Entry, ext string, old []byte) ([]byte, error) {
	index, err := p.index(ctx)
	if err != nil {
		return nil, err
	}
	var kin []Entry
	for _, i := range index.Images {
		if i.OS == e.OS && i.Release == e.Release && i.Arch == e.Arch && i.Variant == e.Variant && i.Proven && !i.Unscanned {
			kin = append(kin, i)
		}
	}
	if len(kin) == 0 {
		return old, nil
	}
	// versions begin with a time, YYYYMMDD-HHMM[SS-xxxx], and sort as text
	newest := slices.MaxFunc(kin, func(a, b Entry) int { return strings.Compare(a.Version, b.Version) })
	if ext == "json" {
		return jsonText(newest)
	}
	return limaYAML(newest.Version, p.Public(newest.Disk), newest.Arch, newest.SHA256)
}

func jsonText(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	return append(b, '\n'), err
}

// manifestFile is a file of a release. Size is in bytes.
type manifestFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	SHA512 string `json:"sha512"`
}

// manifest describes the release: files, inputs, packages and, for software under the
// GPL, the addresses of its source.
func (p *publishing) manifest() (File, error) {
	var files []manifestFile
	for _, f := range p.done {
		files = append(files, manifestFile{f.Name, f.Size, f.SHA256, f.SHA512})
	}
	m := map[string]any{
		"apiVersion": apiVersion, "kind": "Manifest",
		"os": p.r.OS, "release": p.r.Release, "variant": p.r.Variant, "arch": p.r.Arch, "version": p.r.Version,
		"kernel": map[string]string{"release": p.r.KernelRelease, "buildId": p.r.KernelBuildID},
		"proven": p.r.Proven, "proof": p.r.Proof, "files": files, "inputs": p.r.Inputs, "packages": p.r.Packages, "sources": p.r.Sources, "tools": p.r.Tools,
	}
	if p.r.Unscanned {
		m["unscanned"] = true
	}
	text, err := jsonText(m)
	return File{Name: "manifest.json", Data: text, MediaType: "application/json"}, err
}

func (p *publishing) limaTemplate() (File, error) {
	d := p.disk()
	text, err := limaYAML(p.r.Version, d.URL, p.r.Arch, d.SHA256)
	return File{Name: "lima.yaml", Data: text, MediaType: "application/yaml"}, err
}

func limaYAML(version, url, arch, sha256 string) ([]byte, error) {
	b, err := LimaTemplate(url, arch, sha256)
	return append([]byte("# Ingot image "+version+"; start it with: limactl start <this file's address>\n"), b...), err
}

// LimaTemplate returns a template for limactl, for a disk at a path or address, with
// its digest. Lima caches images by address, and addresses of releases are never
// reused. Nothing is mounted; the mount type is one whose cloud-init data Debian 12's
// cloud-init can read: with 9p Lima writes "mounts: null", on which cloud-init 22.4
// fails.
func LimaTemplate(location, arch, sha256 string) ([]byte, error) {
	machine := map[string]string{"arm64": "aarch64", "amd64": "x86_64"}[arch]
	type image struct {
		Location string `yaml:"location"`
		Arch     string `yaml:"arch"`
		Digest   string `yaml:"digest"`
	}
	return yaml.Marshal(struct {
		Minimum    string          `yaml:"minimumLimaVersion"`
		Arch       string          `yaml:"arch"`
		Images     []image         `yaml:"images"`
		MountType  string          `yaml:"mountType"`
		Mounts     []string        `yaml:"mounts"`
		Containerd map[string]bool `yaml:"containerd"`
	}{"1.0.0", machine, []image{{location, machine, "sha256:" + sha256}}, "reverse-sshfs", []string{}, map[string]bool{"system": false, "user": false}})
}

var page = template.Must(template.New("index").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Ingot images</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #8884}code{font-size:.85em;overflow-wrap:anywhere}</style>
<h1>Ingot images</h1>
<p>A tick means: these bytes booted; the proof lies beside them under <code>evidence/</code>. Verify with <a href="ingot.pub">ingot.pub</a>.</p>
<table><tr><th>Image<th>Version<th>Kernel<th>Size<th>Booted<th>SHA-256</tr>
{{range .Images}}<tr><td><a href="{{.Disk}}">{{.OS}} {{.Release}} {{.Variant}} {{.Arch}}</a><td><a href="{{.Path}}/manifest.json">{{.Version}}</a><td>{{.KernelRelease}}<td>{{.Size}}<td>{{if .Proven}}✓{{else}}not proven{{end}}{{if .Unscanned}}, not scanned{{end}}<td><code>{{.SHA256}}</code></tr>
{{end}}</table>
`))

func indexPage(index Index) ([]byte, error) {
	var b bytes.Buffer
	err := page.Execute(&b, index)
	return b.Bytes(), err
}
