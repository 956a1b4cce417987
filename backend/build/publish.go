package build

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/home"
	"ingot/backend/image"
	"ingot/backend/publish"
	"ingot/backend/secret"
)

// publish puts the artifacts with their evidence onto the endpoint and keeps
// the receipt. It is gated by the proof of the very digest.
func (r *run) publish(ctx context.Context, arts artifacts) error {
	a := arts.primary()
	e, free, err := r.Endpoint(ctx)
	if err != nil {
		return r.stepFailed(ctx, StepPublish, key("publish/1", a.SHA256), evidence.KindReceipt, err)
	}
	defer free()
	proven := r.provenNow(a.SHA256)
	in := Inputs{"step": "publish/2", "artifact": a.SHA256, "endpoint": e.ID(), "proven": strconv.FormatBool(proven)}
	stepKey := in.Key()
	if !r.forced(StepPublish) && r.stillPublished(stepKey) {
		d, _ := r.records.of(evidence.KindReceipt)
		r.skipped(StepPublish, "published by build "+d.Head.Build)
		return nil
	}
	watch := newClock()
	r.emit(event.Event{Kind: event.StepStarted, Step: StepPublish, Msg: r.why(StepPublish, evidence.KindReceipt, in)})
	rel, err := r.release(arts, proven)
	if err == nil && e.Local {
		err = home.NeedSpace(r.Home.Data, arts.bytes(), "copy in the local store")
	}
	if err != nil {
		return r.stepFailed(ctx, StepPublish, stepKey, evidence.KindReceipt, err)
	}
	rec, err := r.Publish(ctx, e, rel, publish.Options{AllowUnproven: r.opt.Unproven, Progress: r.progress(StepPublish)})
	if err != nil {
		return r.stepFailed(ctx, StepPublish, stepKey, evidence.KindReceipt, err)
	}
	if err := r.keepReceipt(ctx, in, rec, rel); err != nil {
		return err
	}
	r.emit(watch.stamp(event.Event{Kind: event.StepFinished, Step: StepPublish, Outcome: event.Passed, Msg: rec.URL}))
	return nil
}

// stillPublished tells whether the newest receipt is one of the key. After a
// failed publish, or one of another artifact, it is published again, which
// compares what is there.
func (r *run) stillPublished(stepKey string) bool {
	if !r.evidenced(evidence.KindReceipt, stepKey) {
		return false
	}
	d, _ := r.records.of(evidence.KindReceipt)
	return r.records.newestIs(d)
}

// provenNow tells whether signed evidence says that these bytes booted.
func (r *run) provenNow(sha256 string) bool {
	d, ok := r.records.of(evidence.KindProof)
	return ok && passes(d) && d.Subject().SHA256() == sha256
}

// release gathers what is published.
func (r *run) release(arts artifacts, proven bool) (publish.Release, error) {
	rel := publish.Release{OS: r.recipe.OS, Release: r.recipe.Release, Variant: r.recipe.Variant, Arch: r.recipe.Arch, Version: arts.Version,
		KernelRelease: arts.Kernel.Release, KernelBuildID: arts.Kernel.BuildID, Proven: proven,
		Inputs: map[string]string{"recipe": r.recipe.Digest(), "lock": r.lock.Digest()},
		Tools:  map[string]string{"ingot": r.Version, "compiler": arts.Kernel.Compiler}}
	if proven {
		d, _ := r.records.of(evidence.KindProof)
		rel.Proof = d.ID
	}
	for _, s := range r.lock.Suites {
		rel.Inputs["InRelease "+s.Archive+" "+s.Suite] = s.InRelease
	}
	for _, p := range r.lock.Rootfs {
		rel.Packages = append(rel.Packages, p.Name+"="+p.Version+":"+p.Arch)
	}
	rel.Sources = r.sources()
	for _, a := range arts.Files {
		f := publish.File{Name: a.Name, Path: arts.path(a), MediaType: "application/octet-stream", Disk: a.Format != "tar.zst"}
		rel.Files = append(rel.Files, f)
	}
	docs, err := r.releaseDocuments(arts)
	if err != nil {
		return rel, err
	}
	for _, d := range docs {
		rel.Files = append(rel.Files, publish.File{Name: "evidence/" + d.ID + ".json", Data: d.Envelope, MediaType: "application/json"})
	}
	if err := r.addKeys(&rel, docs); err != nil {
		return rel, err
	}
	return rel, r.addLogs(&rel)
}

// addKeys adds the public keys that the documents are signed with. Some may be
// of before a rotation; the release's signed list vouches for them, so that a
// reader need know the publisher's present key only.
func (r *run) addKeys(rel *publish.Release, docs []evidence.Document) error {
	ids := map[string]bool{}
	for _, d := range docs {
		if d.Trust == evidence.Signed {
			ids[d.KeyID] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		text, err := secret.FormatPublic(id, r.publicKey(id))
		if err != nil {
			return err
		}
		rel.Files = append(rel.Files, publish.File{Name: "evidence/" + id + ".pub", Data: []byte(text), MediaType: "text/plain"})
	}
	return nil
}

func (r *run) publicKey(id string) ed25519.PublicKey {
	if id == r.Signer.KeyID() {
		return r.Signer.Public()
	}
	return r.Keys[id]
}

// releaseDocuments are the documents of all cells; of the artifacts, one for
// each file.
func (r *run) releaseDocuments(arts artifacts) ([]evidence.Document, error) {
	var docs []evidence.Document
	for _, k := range evidence.Kinds {
		d, ok := r.records.of(k)
		if ok && k != evidence.KindReceipt && k != evidence.KindArtifact {
			docs = append(docs, d)
		}
	}
	for _, a := range arts.Files {
		d, ok := r.records.pass(evidence.KindArtifact, func(d evidence.Document) bool {
			return d.Subject().SHA256() == a.SHA256 && d.Subject().Name == a.Name
		})
		if !ok {
			return nil, fmt.Errorf("there is no signed evidence of %s: `ingot build %s --force export` makes it", a.Name, r.recipe.Name)
		}
		if err := refuseLeaks(d); err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// addLogs adds the serial logs and screenshots of the proof.
func (r *run) addLogs(rel *publish.Release) error {
	d, ok := r.records.of(evidence.KindProof)
	if !ok {
		return nil
	}
	var p evidence.Proof
	if err := d.Decode(&p); err != nil {
		return err
	}
	folder, err := r.Ledger.Build(d.Head.Target, d.Head.Build)
	if err != nil {
		return err
	}
	for _, b := range p.Boots {
		files := []evidence.File{b.Serial}
		if b.Screenshot != nil {
			files = append(files, *b.Screenshot)
		}
		for _, f := range files {
			path := filepath.Join(folder.Dir, filepath.FromSlash(f.Name))
			if info, err := os.Stat(path); err != nil || info.Size() == 0 {
				continue // an empty log is in the proof as such
			}
			media := "text/plain"
			if strings.HasSuffix(f.Name, ".png") {
				media = "image/png"
			}
			rel.Files = append(rel.Files, publish.File{Name: "evidence/" + filepath.Base(f.Name), Path: path, MediaType: media})
		}
	}
	return nil
}

// sources names the source package of every binary, for the GPL's sake; all of
// Debian's are listed, since its copyright files are not machine-readable
// throughout. The addresses are public ones.
func (r *run) sources() []publish.Source {
	var out []publish.Source
	seen := map[string]bool{}
	public := image.Mirrors{}
	for _, a := range r.recipe.Archives {
		public[a.Name] = strings.TrimSuffix(a.URI, "/")
	}
	for _, p := range append(slices.Clone(r.lock.Rootfs), r.lock.Kernel) {
		if seen[p.Source] {
			continue
		}
		seen[p.Source] = true
		name, version, _ := strings.Cut(p.Source, "=")
		dir := public[p.Archive] + "/" + filepath.ToSlash(filepath.Dir(p.Filename)) + "/"
		out = append(out, publish.Source{Package: p.Source, URLs: []string{dir, fmt.Sprintf("https://snapshot.debian.org/package/%s/%s/", name, version)}})
	}
	slices.SortFunc(out, func(a, b publish.Source) int { return strings.Compare(a.Package, b.Package) })
	return out
}

func (r *run) keepReceipt(ctx context.Context, in Inputs, rec publish.Receipt, rel publish.Release) error {
	doc := evidence.Receipt{Head: r.passedFor(evidence.KindReceipt, in), URL: rec.URL, Disk: rec.DiskURL, Version: rec.Version, Size: rec.DiskSize,
		Anonymous: rec.Anonymous, Local: rec.Local, Proven: rel.Proven, Proof: rel.Proof}
	for _, f := range rec.Files {
		doc.Files = append(doc.Files, evidence.File{Name: f.Name, SHA256: f.SHA256, Size: f.Size})
	}
	_, err := r.keep(ctx, evidence.Subject{Name: rec.DiskURL, Digest: map[string]string{"sha256": rec.DiskSHA256}}, doc.Head, doc)
	return err
}
