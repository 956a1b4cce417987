package delivery

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"ingot/backend/build"
	"ingot/backend/build/outputs"
	"ingot/backend/build/record"
	"ingot/backend/build/release"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/home"
)

// pass returns the delivered signed pass of a kind for which fits returns true.
func (r *receiver) pass(k evidence.Kind, fits func(evidence.Document) bool) (evidence.Document, bool) {
	for _, d := range slices.Backward(r.docs) {
		if d.Head.Kind == k && record.Passes(d) && fits(d) {
			return d, true
		}
	}
	return evidence.Document{}, false
}

func (r *receiver) missing(what string) error {
	return cause.With("team.result-invalid", fmt.Errorf("the worker reported that the build passed, but delivered no signed evidence of %s of these inputs", what))
}

// artifacts finds the documents of the exported files, and fetches the files to the
// folder of the export step's output. Names and folder are those that an export here
// would use.
func (r *receiver) artifacts(ctx context.Context) error {
	if !r.Wants(build.StepExport) {
		return nil
	}
	kernel, ok := r.pass(evidence.KindKernel, func(d evidence.Document) bool { return d.Head.InputKey == r.keys.Kernel.Key() })
	if !ok {
		return r.missing("a kernel")
	}
	img, ok := r.pass(evidence.KindImage, func(d evidence.Document) bool { return d.Head.InputKey == r.keys.Image.Key() })
	if !ok {
		return r.missing("an image")
	}
	var k evidence.Kernel
	if err := kernel.Decode(&k); err != nil {
		return err
	}
	r.in = build.ExportInputs(r.Recipe, r.keys.Image.Key(), img.Subject().SHA256())
	r.arts = release.Artifacts{Kernel: family.Kernel{Release: k.Release, BuildID: k.BuildID, Compiler: k.Compiler}}
	for _, format := range r.Recipe.Export.Formats {
		if err := r.artifact(format); err != nil {
			return err
		}
	}
	if out, ok := r.Outputs(evidence.KindArtifact).Load(build.StepExport, r.in.Key()); ok && r.same(out) {
		r.arts.Dir = out.Dir
		return nil
	}
	if err := home.NeedSpace(r.Home.Data, r.arts.Bytes(), "artifacts of the worker"); err != nil {
		return err
	}
	out, err := r.Outputs(evidence.KindArtifact).Make(build.StepExport, r.in.Key(), r.Folder.ID, func(dir string) (any, error) {
		return r.arts, r.fetch(ctx, dir)
	})
	r.arts.Dir = out.Dir
	return err
}

// artifact finds the document of a format.
func (r *receiver) artifact(format string) error {
	key := r.in.Key()
	if release.BesideDisk(format) {
		key += "/" + format
	}
	doc, ok := r.pass(evidence.KindArtifact, func(d evidence.Document) bool {
		var a evidence.Artifact
		return d.Head.InputKey == key && d.Decode(&a) == nil && a.Format == format
	})
	if !ok {
		return r.missing("a " + format)
	}
	var a evidence.Artifact
	if err := doc.Decode(&a); err != nil {
		return err
	}
	r.arts.Version = release.VersionOf(doc.Head.Build)
	if old := release.MinuteOf(doc.Head.Build); a.Name == release.ArtifactName(r.Recipe, old, format) {
		r.arts.Version = old
	}
	name := release.ArtifactName(r.Recipe, r.arts.Version, format)
	file, err := r.ArtifactPath(r.in.Key(), name)
	if err != nil {
		return err
	}
	if a.Name != name || a.File != file || a.Size <= 0 || doc.Subject().Digest["sha512"] != a.SHA512 {
		return cause.With("team.result-invalid", fmt.Errorf("evidence %s calls the artifact %.80q in %.120q: here it would be %s in %s", doc.ID, a.Name, a.File, name, file))
	}
	r.arts.Files = append(r.arts.Files, release.Artifact{Name: name, Format: format, SHA256: doc.Subject().SHA256(), SHA512: a.SHA512, Size: a.Size})
	return nil
}

// same reports whether the files exist already with these digests.
func (r *receiver) same(out outputs.Output) bool {
	for _, a := range r.arts.Files {
		if out.Files[a.Name] != a.SHA256 {
			return false
		}
	}
	return len(out.Files) == len(r.arts.Files)
}

// fetch fetches the files and computes both digests.
func (r *receiver) fetch(ctx context.Context, dir string) error {
	progress := r.Progress("receive")
	var done int64
	for _, a := range r.arts.Files {
		f, err := os.OpenFile(filepath.Join(dir, a.Name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		sum := sha512.New()
		counted := writerFunc(func(p []byte) (int, error) {
			done += int64(len(p))
			progress(done, int64(r.arts.Bytes()))
			return len(p), nil
		})
		err = r.from.Get(ctx, a.SHA256, a.Size, io.MultiWriter(f, sum, counted))
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return received("artifact "+a.Name, r.from.Worker, err)
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != a.SHA512 {
			return cause.With("team.digest-differs", fmt.Errorf("artifact %s of worker %s has SHA-512 %s instead of %s, as in its evidence", a.Name, r.from.Worker, got, a.SHA512))
		}
	}
	return nil
}

type writerFunc func(p []byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }

// refer makes the publish step refer to the delivered documents, and records them again
// if newer documents exist.
func (r *receiver) refer(ctx context.Context) error {
	byKey := func(key string) func(evidence.Document) bool {
		return func(d evidence.Document) bool { return d.Head.InputKey == key }
	}
	ofWorker := func(d evidence.Document) bool {
		return slices.ContainsFunc(r.docs, func(o evidence.Document) bool { return o.ID == d.ID })
	}
	booted := func(d evidence.Document) bool {
		return ofWorker(d) && len(r.arts.Files) > 0 && d.Subject().SHA256() == r.arts.Primary().SHA256
	}
	for _, want := range []struct {
		kind evidence.Kind
		step string
		fits func(evidence.Document) bool
	}{
		{evidence.KindGuest, build.StepKernel, ofWorker}, {evidence.KindKernel, build.StepKernel, byKey(r.keys.Kernel.Key())}, {evidence.KindImage, build.StepImage, byKey(r.keys.Image.Key())},
		{evidence.KindArtifact, build.StepExport, byKey(r.in.Key())}, {evidence.KindProof, build.StepProve, booted},
	} {
		if !r.Wants(want.step) {
			continue
		}
		d, ok := r.Documents.Refer(want.kind, want.fits)
		if !ok {
			return r.missing("the " + string(want.kind))
		}
		if want.kind != evidence.KindProof { // a proof names files of its build
			if err := r.Restate(ctx, want.kind); err != nil {
				return err
			}
		}
		if want.kind != evidence.KindGuest {
			r.Emit(event.Event{Kind: event.StepSkipped, Step: want.step, Msg: "made by a worker, evidence " + d.ID})
		}
	}
	return nil
}
