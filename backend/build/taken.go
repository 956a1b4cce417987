package build

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/home"
	"ingot/backend/image"
)

// taken is a delivery whose documents are believed.
type taken struct {
	*run
	docs []evidence.Document
	keys Keys
	arts artifacts
	in   Inputs // of the export
}

// pass is the delivered signed pass of a kind that fits.
func (t *taken) pass(k evidence.Kind, fits func(evidence.Document) bool) (evidence.Document, bool) {
	for _, d := range slices.Backward(t.docs) {
		if d.Head.Kind == k && passes(d) && fits(d) {
			return d, true
		}
	}
	return evidence.Document{}, false
}

func (t *taken) missing(what string) error {
	return cause.With("team.result-invalid", fmt.Errorf("the worker says that the build passed, and gave no signed evidence of %s of these inputs", what))
}

// artifacts finds the documents of the exported files, and fetches the files
// into the place of the export step's output. Names and places are those that
// an export here would give them.
func (t *taken) artifacts(ctx context.Context, d Delivery) error {
	if !t.wants(StepExport) {
		return nil
	}
	kernel, ok := t.pass(evidence.KindKernel, func(d evidence.Document) bool { return d.Head.InputKey == t.keys.Kernel.Key() })
	if !ok {
		return t.missing("a kernel")
	}
	img, ok := t.pass(evidence.KindImage, func(d evidence.Document) bool { return d.Head.InputKey == t.keys.Image.Key() })
	if !ok {
		return t.missing("an image")
	}
	var k evidence.Kernel
	if err := kernel.Decode(&k); err != nil {
		return err
	}
	t.in = t.exportInputs(t.keys.Image.Key(), img.Subject().SHA256())
	t.arts = artifacts{Kernel: image.Kernel{Release: k.Release, BuildID: k.BuildID, Compiler: k.Compiler}}
	for _, format := range t.recipe.Export.Formats {
		if err := t.artifact(format); err != nil {
			return err
		}
	}
	if out, ok := t.store(evidence.KindArtifact).load(StepExport, t.in.Key()); ok && t.same(out) {
		t.arts.dir = out.Dir
		return nil
	}
	if err := home.NeedSpace(t.Home.Data, t.arts.bytes(), "artifacts of the worker"); err != nil {
		return err
	}
	out, err := t.store(evidence.KindArtifact).make(StepExport, t.in.Key(), t.folder.ID, func(dir string) (any, error) {
		return t.arts, t.fetch(ctx, d, dir)
	})
	t.arts.dir = out.Dir
	return err
}

// artifact finds the document of a format.
func (t *taken) artifact(format string) error {
	key := t.in.Key()
	if format == "tar.zst" {
		key += "/" + format
	}
	doc, ok := t.pass(evidence.KindArtifact, func(d evidence.Document) bool {
		var a evidence.Artifact
		return d.Head.InputKey == key && d.Decode(&a) == nil && a.Format == format
	})
	if !ok {
		return t.missing("a " + format)
	}
	var a evidence.Artifact
	if err := doc.Decode(&a); err != nil {
		return err
	}
	t.arts.Version = VersionOf(doc.Head.Build)
	name := t.artifactName(t.arts.Version, format)
	file, err := t.artifactPath(t.in.Key(), name)
	if err != nil {
		return err
	}
	if a.Name != name || a.File != file || a.Size <= 0 || doc.Subject().Digest["sha512"] != a.SHA512 {
		return cause.With("team.result-invalid", fmt.Errorf("evidence %s calls the artifact %.80q in %.120q: here it would be %s in %s", doc.ID, a.Name, a.File, name, file))
	}
	t.arts.Files = append(t.arts.Files, artifact{name, format, doc.Subject().SHA256(), a.SHA512, a.Size})
	return nil
}

// same tells whether the files are there already.
func (t *taken) same(out output) bool {
	for _, a := range t.arts.Files {
		if out.Files[a.Name] != a.SHA256 {
			return false
		}
	}
	return len(out.Files) == len(t.arts.Files)
}

// fetch brings the files; both digests are taken on the way.
func (t *taken) fetch(ctx context.Context, d Delivery, dir string) error {
	progress := t.progress("receive")
	var done int64
	for _, a := range t.arts.Files {
		f, err := os.OpenFile(filepath.Join(dir, a.Name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		sum := sha512.New()
		counted := writerFunc(func(p []byte) (int, error) {
			done += int64(len(p))
			progress(done, int64(t.arts.bytes()))
			return len(p), nil
		})
		err = d.Get(ctx, a.SHA256, a.Size, io.MultiWriter(f, sum, counted))
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return received("artifact "+a.Name, d.Worker, err)
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != a.SHA512 {
			return cause.With("team.digest-differs", fmt.Errorf("artifact %s of worker %s has SHA-512 %s, its evidence says %s", a.Name, d.Worker, got, a.SHA512))
		}
	}
	return nil
}

type writerFunc func(p []byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }

// refer lets the publish refer to what was delivered, and says anew that it
// stands where something else was recorded since.
func (t *taken) refer(ctx context.Context) error {
	byKey := func(key string) func(evidence.Document) bool {
		return func(d evidence.Document) bool { return d.Head.InputKey == key }
	}
	ofWorker := func(d evidence.Document) bool {
		return slices.ContainsFunc(t.docs, func(o evidence.Document) bool { return o.ID == d.ID })
	}
	booted := func(d evidence.Document) bool {
		return ofWorker(d) && len(t.arts.Files) > 0 && d.Subject().SHA256() == t.arts.primary().SHA256
	}
	for _, want := range []struct {
		kind evidence.Kind
		step string
		fits func(evidence.Document) bool
	}{
		{evidence.KindGuest, StepKernel, ofWorker}, {evidence.KindKernel, StepKernel, byKey(t.keys.Kernel.Key())}, {evidence.KindImage, StepImage, byKey(t.keys.Image.Key())},
		{evidence.KindArtifact, StepExport, byKey(t.in.Key())}, {evidence.KindProof, StepProve, booted},
	} {
		if !t.wants(want.step) {
			continue
		}
		d, ok := t.records.refer(want.kind, want.fits)
		if !ok {
			return t.missing("the " + string(want.kind))
		}
		if want.kind != evidence.KindProof { // it names files of its build
			if err := t.restate(ctx, want.kind); err != nil {
				return err
			}
		}
		if want.kind != evidence.KindGuest {
			t.emit(event.Event{Kind: event.StepSkipped, Step: want.step, Msg: "made by a worker, evidence " + d.ID})
		}
	}
	return nil
}
