package verify

import (
	"context"
	"os"
	"path/filepath"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/build"
	"ingot/backend/build/record"
	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/evidence"
	"ingot/backend/fetch"
	"ingot/backend/machine"
	"ingot/backend/proof"
)

// ProveFile boots any qcow2 or raw image and returns the proof with the document that
// records it. If arch is "" it is read from the file's name, else it is arm64.
// ProveFile sets spec's image, booter and folder, and its recipe if it has none.
func ProveFile(ctx context.Context, b *backend.Backend, file, arch string, spec proof.Spec) (evidence.Document, evidence.Proof, error) {
	if spec.Recipe.Memory == 0 {
		spec.Recipe = b.ProofRecipe()
	}
	records := b.Line().Records()
	folder, err := records.FilesFolder()
	if err != nil {
		return evidence.Document{}, evidence.Proof{}, err
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return evidence.Document{}, evidence.Proof{}, err
	}
	spec.Image, spec.Name, spec.Dir = abs, filepath.Base(abs), folder.Dir
	spec.Booter, spec.Pack = machine.QEMU{Arch: backend.ArchOf(file, arch), Cache: b.Home.Cache, Children: b.Children()}, b.Pack
	doc, err := proveInspected(ctx, b.Pack, spec)
	if err != nil {
		return evidence.Document{}, doc, err
	}
	digest, err := fetch.Digest(abs)
	if err != nil {
		return evidence.Document{}, doc, cause.With("image.missing", err)
	}
	doc.Head = records.ProofHead(folder, doc, record.Key("prove-file/1", digest))
	d, err := records.KeepFile(ctx, folder, evidence.Subject{Name: spec.Name, Digest: map[string]string{"sha256": digest}}, doc.Head, doc)
	return d, doc, err
}

// proveInspected boots an image. An image that cannot be read is not booted: the proof
// fails with the cause of that error.
func proveInspected(ctx context.Context, pack *cause.Pack, spec proof.Spec) (evidence.Proof, error) {
	info, err := disk.Inspect(spec.Image)
	if err = disk.WithCause(err); err == nil {
		spec.Format = info.Format
		return proof.Prove(ctx, spec)
	}
	id := cause.Of(err)
	if id == "" || id == "image.missing" {
		return evidence.Proof{}, err
	}
	f, _ := pack.Describe(id)
	doc := evidence.Proof{Artifact: spec.Name}
	doc.Verdict, doc.Cause, doc.Message, doc.Fix = evidence.Failed, id, err.Error(), f.Fix
	return doc, nil
}

// Prove boots a file and returns the id of the evidence. A file that does not boot is a
// *build.NotProvenError; its evidence is recorded.
func Prove(ctx context.Context, b *backend.Backend, file, arch string, notify func(string)) (string, api.Proof, error) {
	if _, err := os.Stat(file); err != nil {
		return "", api.Proof{}, &backend.FileError{File: file, Err: cause.With("image.missing", err)}
	}
	d, p, err := ProveFile(ctx, b, file, arch, proof.Spec{Notify: notify})
	if err == nil && p.Verdict != evidence.Passed {
		err = &build.NotProvenError{Proof: p}
	}
	return d.ID, p, err
}
