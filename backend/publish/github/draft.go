package github

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"

	api "github.com/google/go-github/v88/github"

	"ingot/backend/publish"
)

// draft is one release: a publish.Draft. Names of objects begin with dir, the release's
// folder in other stores.
type draft struct {
	repo         *Repository
	dir, tag     string
	title, notes string
	latest       string // "true", or "false" for one that is not proven or not scanned
	client       *api.Client
	owner, name  string // of the repository now
	mu           sync.Mutex
	release      *api.RepositoryRelease
	assets       map[string]*api.ReleaseAsset // by name
	wanted       map[string]bool              // names of the assets of this publish
	kept         map[string][]byte            // files of the bundle of this publish
	had          map[string][]byte            // files of the bundle that the release has; nil until it was read
	parts        map[string]inParts           // files of this publish that are stored in parts
	ended        bool                         // the release was public at the start
}

// bundle is the asset with the files that are in folders.
const bundle = "evidence.tar"

// assetLimit is GitHub's limit of an asset in bytes: it must be smaller
// (docs.github.com/repositories/releasing-projects-on-github/about-releases).
const assetLimit = 2 << 30

// smallAsset bounds the assets that are read into memory, and the files of evidence.tar.
const smallAsset = 64 << 20

func (d *draft) ID() string  { return d.repo.ID() }
func (d *draft) Local() bool { return false }

// local returns an object's name in the release, and whether it belongs into bundle.
func (d *draft) local(name string) (string, bool) {
	name = strings.TrimPrefix(strings.TrimPrefix(name, d.dir), "/")
	return name, strings.Contains(name, "/")
}

// Public returns the address of an asset; for a file of the bundle that of the bundle.
func (d *draft) Public(name string) string {
	base := d.repo.ID()
	if d.name != "" { // its name now
		base = d.repo.server + "/" + d.owner + "/" + d.name
	}
	base += "/releases/download/" + url.PathEscape(d.tag)
	local, nested := d.local(name)
	if _, split := partsOf(d, local); split {
		local += indexSuffix
	}
	switch {
	case nested:
		return base + "/" + bundle + "#" + local
	case local != "":
		return base + "/" + url.PathEscape(local)
	}
	return base
}

// Check finds the repository and the release; it makes a draft if there is none.
func (d *draft) Check(ctx context.Context) (err error) {
	if d.client, _, err = d.repo.client(ctx); err != nil {
		return err
	}
	repo, err := d.repo.find(ctx, d.client)
	if err != nil {
		return err
	}
	d.owner, d.name = repo.GetOwner().GetLogin(), repo.GetName()
	if repo.Permissions != nil && !repo.GetPermissions().GetPush() {
		return &publish.Error{Cause: "publish.not-allowed", Msg: fmt.Sprintf("the token may not write to %s/%s", d.owner, d.name), Fix: "use a token with the right to write contents"}
	}
	if repo.GetPrivate() {
		return &publish.Error{Cause: "publish.not-public", Msg: fmt.Sprintf("the repository %s/%s is private", d.owner, d.name), Fix: "only releases of a public repository can be read without credentials"}
	}
	if repo.GetArchived() {
		return &publish.Error{Cause: "publish.not-allowed", Msg: fmt.Sprintf("the repository %s/%s is archived", d.owner, d.name), Fix: "choose another repository"}
	}
	if err := d.findRelease(ctx); err != nil {
		return err
	}
	return d.list(ctx)
}

// findRelease finds the release by its tag among drafts and published ones, or makes it.
func (d *draft) findRelease(ctx context.Context) error {
	opt := &api.ListOptions{PerPage: 100}
	for {
		var list []*api.RepositoryRelease
		var answer *api.Response
		err := d.repo.again(ctx, func() (err error) {
			list, answer, err = d.client.Repositories.ListReleases(ctx, d.owner, d.name, opt)
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range list {
			if r.GetTagName() == d.tag {
				d.release, d.ended = r, !r.GetDraft()
				return nil
			}
		}
		if answer.NextPage == 0 {
			break
		}
		opt.Page = answer.NextPage
	}
	// not repeated: an answer that was lost may have made it, and the next publish finds it
	r, _, err := d.client.Repositories.CreateRelease(ctx, d.owner, d.name, &api.RepositoryRelease{TagName: &d.tag, Name: &d.title, Body: &d.notes, Draft: api.Ptr(true)})
	d.release = r
	return holds(err, r.GetID() != 0 && r.GetUploadURL() != "", "the release that was made")
}

// list reads the release's assets.
func (d *draft) list(ctx context.Context) error {
	found, err := d.found(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.assets = found
	return nil
}

// lookAgain reads what the release has under one name: other names may be uploaded
// meanwhile.
func (d *draft) lookAgain(ctx context.Context, name string) error {
	found, err := d.found(ctx)
	if err == nil {
		d.setAsset(name, found[name])
	}
	return err
}

func (d *draft) found(ctx context.Context) (map[string]*api.ReleaseAsset, error) {
	found := map[string]*api.ReleaseAsset{}
	opt := &api.ListOptions{PerPage: 100}
	for {
		var list []*api.ReleaseAsset
		var answer *api.Response
		err := d.repo.again(ctx, func() (err error) {
			list, answer, err = d.client.Repositories.ListReleaseAssets(ctx, d.owner, d.name, d.release.GetID(), opt)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, a := range list {
			found[a.GetName()] = a
		}
		if answer.NextPage == 0 {
			return found, nil
		}
		opt.Page = answer.NextPage
	}
}

func (d *draft) asset(name string) *api.ReleaseAsset {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.assets[name]
}

func (d *draft) setAsset(name string, a *api.ReleaseAsset) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a == nil {
		delete(d.assets, name)
	} else {
		d.assets[name] = a
	}
}

// whole reports whether an asset was uploaded to its end.
func whole(a *api.ReleaseAsset) bool { return a.GetState() == "uploaded" }

// sum returns the SHA-256 that GitHub has computed of an asset; "" if it has none.
func sum(a *api.ReleaseAsset) string {
	digest, ok := strings.CutPrefix(a.GetDigest(), "sha256:")
	if !ok || !publish.IsSHA256(digest) {
		return ""
	}
	return digest
}

// Create uploads an asset, unless the release has it. In a draft, an asset with other
// bytes is replaced: it is what an interrupted publish left.
func (d *draft) Create(ctx context.Context, name string, f publish.File, want publish.Published, sent func(int64)) (made bool, err error) {
	local, nested := d.local(name)
	if nested {
		return d.keepNested(ctx, local, f, want)
	}
	if f.Path != "" && want.Size >= d.repo.limit {
		return createParts(ctx, d, local, f, want, sent)
	}
	return d.createAsset(ctx, local, source{file: f}, want, sent)
}

// createAsset uploads one asset, unless the release has it.
func (d *draft) createAsset(ctx context.Context, local string, f source, want publish.Published, sent func(int64)) (made bool, err error) {
	d.want(local)
	if a := d.asset(local); a != nil && whole(a) {
		have := publish.Published{SHA256: sum(a), Size: int64(a.GetSize())}
		if have.SHA256 == "" && have.Size == want.Size {
			if have, err = d.download(ctx, a); err != nil {
				return false, err
			}
		}
		if d.ended || have.SHA256 == want.SHA256 && have.Size == want.Size {
			return false, nil
		}
	}
	if d.ended {
		return false, &publish.Error{Cause: "publish.conflict", Msg: fmt.Sprintf("the release %s was published without %s, and a published release is not changed", d.tag, local)}
	}
	return true, d.repo.again(ctx, func() error { return d.upload(ctx, local, f, want, sent) })
}

// upload sends one asset, after it has removed what has its name.
func (d *draft) upload(ctx context.Context, name string, f source, want publish.Published, sent func(int64)) error {
	if a := d.asset(name); a != nil {
		if err := d.remove(ctx, name, a); err != nil {
			return err
		}
	}
	r, err := f.open()
	if err != nil {
		return err
	}
	defer r.Close()
	h := newHashing(ctx, r, sent)
	a, _, err := d.client.Repositories.UploadReleaseAssetFromRelease(ctx, d.release, &api.UploadOptions{Name: name, MediaType: f.file.MediaType}, h, want.Size)
	if err != nil {
		if lerr := d.lookAgain(ctx, name); lerr != nil { // a part of it may be there
			return errors.Join(err, lerr)
		}
		var answer *api.ErrorResponse
		if errors.As(err, &answer) && answer.Response.StatusCode == http.StatusUnprocessableEntity && d.asset(name) != nil {
			return &staleError{err} // it was, and was not known: the next try removes it
		}
		return err
	}
	if err := holds(nil, a.GetID() != 0, "the asset "+name); err != nil {
		return errors.Join(err, d.lookAgain(ctx, name))
	}
	d.setAsset(name, a)
	if got := h.digest(); got != want.SHA256 {
		return errors.Join(publish.Changed(f.file, got), d.remove(context.WithoutCancel(ctx), name, a))
	}
	return nil
}

// staleError reports that an asset was in the way that an earlier upload has left.
type staleError struct{ err error }

func (e *staleError) Error() string { return e.err.Error() }
func (e *staleError) Unwrap() error { return e.err }

// remove deletes an asset of a draft.
func (d *draft) remove(ctx context.Context, name string, a *api.ReleaseAsset) error {
	answer, err := d.client.Repositories.DeleteReleaseAsset(ctx, d.owner, d.name, a.GetID())
	if err != nil && (answer == nil || answer.StatusCode != http.StatusNotFound) {
		return fmt.Errorf("remove %s, which is incomplete: %w", name, err)
	}
	d.setAsset(name, nil)
	return nil
}

// ReadBack returns what GitHub says of an asset: its digest, or, from a server that has
// none, that of its bytes. A file of the bundle is compared with it by Finish.
func (d *draft) ReadBack(ctx context.Context, name string) (publish.Published, error) {
	local, nested := d.local(name)
	if nested {
		return d.readNested(ctx, local)
	}
	if s, split := partsOf(d, local); split {
		return readParts(ctx, d, s, local)
	}
	return d.readAsset(ctx, local)
}

// readAsset returns what GitHub says of one asset.
func (d *draft) readAsset(ctx context.Context, local string) (publish.Published, error) {
	d.want(local)
	a := d.asset(local)
	if a == nil {
		return publish.Published{}, fmt.Errorf("%s of the release %s: %w", local, d.tag, publish.ErrAbsent)
	}
	id := a.GetID()
	err := d.repo.again(ctx, func() (err error) {
		a, _, err = d.client.Repositories.GetReleaseAsset(ctx, d.owner, d.name, id)
		return holds(err, a.GetID() == id, "the asset "+local)
	})
	if err != nil {
		return publish.Published{}, err
	}
	if !whole(a) {
		return publish.Published{}, fmt.Errorf("the asset %s, which GitHub calls %q: %w", local, a.GetState(), publish.ErrAbsent)
	}
	if digest := sum(a); digest != "" {
		return publish.Published{SHA256: digest, Size: int64(a.GetSize())}, nil
	}
	return d.download(ctx, a)
}

// open opens an asset's bytes with the publisher's rights: a draft's cannot be read
// otherwise.
func (d *draft) open(ctx context.Context, a *api.ReleaseAsset) (r io.ReadCloser, err error) {
	err = d.repo.again(ctx, func() (err error) {
		r, _, err = d.client.Repositories.DownloadReleaseAsset(ctx, d.owner, d.name, a.GetID(), &http.Client{Transport: bounded{silent()}})
		return err
	})
	return r, err
}

func (d *draft) download(ctx context.Context, a *api.ReleaseAsset) (publish.Published, error) {
	r, err := d.open(ctx, a)
	if err != nil {
		return publish.Published{}, err
	}
	defer r.Close()
	return publish.SHA256Of(io.LimitReader(r, int64(a.GetSize())+1))
}

// Get reads a small asset.
func (d *draft) Get(ctx context.Context, name string) (data []byte, tag string, ok bool, err error) {
	local, nested := d.local(name)
	if nested {
		data, ok, err = d.nestedFile(ctx, local)
		return data, "", ok, err
	}
	a := d.asset(local)
	if a == nil || !whole(a) || a.GetSize() > smallAsset {
		return nil, "", false, nil
	}
	r, err := d.open(ctx, a)
	if err != nil {
		return nil, "", false, err
	}
	defer r.Close()
	data, err = io.ReadAll(io.LimitReader(r, smallAsset))
	return data, a.GetDigest(), err == nil, err
}

// Replace returns an error: a release has no mutable objects.
func (d *draft) Replace(context.Context, string, []byte, string, string) error {
	return errors.New("a GitHub release has no mutable objects")
}

// ReadPublic reads an asset without credentials, as everybody does.
func (d *draft) ReadPublic(ctx context.Context, name string, most int64) (publish.Published, error) {
	base, local := d.Public(d.dir)+"/", path.Base(name)
	get := publish.HTTPReader{Base: base}.Get
	if _, split := partsOf(d, local); split {
		get = func(ctx context.Context, _ string, from, most int64) (io.ReadCloser, error) {
			return joined(ctx, base, local, from, most)
		}
	}
	r, err := get(ctx, url.PathEscape(local), 0, most)
	if err != nil {
		return publish.Published{}, &publish.Error{Cause: "publish.not-public", Msg: err.Error(), Fix: "only releases of a public repository can be read without credentials", Err: err}
	}
	defer r.Close()
	return publish.SHA256Of(r)
}

// Finish uploads the bundle and publishes the draft. The release of an earlier publish
// stays as it is.
func (d *draft) Finish(ctx context.Context) error {
	if d.ended {
		return nil
	}
	d.want(bundle)
	if len(d.kept) > 0 { // else the draft was complete, and its bundle was read
		if err := d.putBundle(ctx); err != nil {
			return fmt.Errorf("%s: %w", bundle, err)
		}
	}
	if err := dropOthers(ctx, d); err != nil {
		return err
	}
	return d.repo.again(ctx, func() error {
		r, _, err := d.client.Repositories.EditRelease(ctx, d.owner, d.name, d.release.GetID(), &api.RepositoryRelease{Draft: api.Ptr(false), TagName: &d.tag, Name: &d.title, Body: &d.notes, MakeLatest: &d.latest})
		if err = holds(err, r.GetID() != 0 && !r.GetDraft(), "the release as a public one"); err == nil {
			d.release = r
		}
		return err
	})
}

// putBundle uploads the bundle and compares it.
func (d *draft) putBundle(ctx context.Context) error {
	text, err := tarOf(d.kept)
	if err != nil {
		return err
	}
	f := publish.File{Name: bundle, Data: text, MediaType: "application/x-tar"}
	want, err := publish.DigestFile(f)
	if err != nil {
		return err
	}
	name := path.Join(d.dir, bundle)
	if _, err := d.Create(ctx, name, f, want, nil); err != nil {
		return err
	}
	got, err := d.ReadBack(ctx, name)
	if err == nil && got.SHA256 != want.SHA256 {
		err = fmt.Errorf("GitHub has other bytes (SHA-256 %s) than those that were sent (SHA-256 %s)", got.SHA256, want.SHA256)
	}
	return err
}

// want notes that an asset belongs to this publish.
func (d *draft) want(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted[name] = true
}

// dropOthers removes assets that an interrupted publish left and this one does not have,
// such as a file of another format.
func dropOthers(ctx context.Context, d *draft) error {
	d.mu.Lock()
	var others []*api.ReleaseAsset
	for name, a := range d.assets {
		if !d.wanted[name] {
			others = append(others, a)
		}
	}
	d.mu.Unlock()
	for _, a := range others {
		if err := d.remove(ctx, a.GetName(), a); err != nil {
			return err
		}
	}
	return nil
}
