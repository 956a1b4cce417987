// Package release collects what is published of a build: the artifacts, the signed
// documents of all cells, the public keys of their signatures, and the logs of the
// proof.
package release

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ingot/backend/build/record"
	"ingot/backend/disk"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/publish"
	"ingot/backend/secret"
	"ingot/backend/target"
)

// Artifacts are the files of an export.
type Artifacts struct {
	Version string     `json:"version"` // of the build that exported, see release.VersionOf
	Files   []Artifact `json:"files"`   // the bootable disk first
	Kernel  family.Kernel
	Dir     string `json:"-"` // folder of the files
}

// Artifact is an exported file. Size is in bytes.
type Artifact struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	SHA256 string `json:"sha256"`
	SHA512 string `json:"sha512"`
	Size   int64  `json:"size"`
}

// Subject returns the subject of a proof of the file.
func (a Artifact) Subject() evidence.Subject {
	return evidence.Subject{Name: a.Name, Digest: map[string]string{"sha256": a.SHA256}}
}

// Bytes returns the total size of the files.
func (a Artifacts) Bytes() (sum uint64) {
	for _, f := range a.Files {
		sum += uint64(f.Size)
	}
	return sum
}

// Primary returns the disk that is proved. It panics without files.
func (a Artifacts) Primary() Artifact { return a.Files[0] }

// Path returns the path of a file.
func (a Artifacts) Path(f Artifact) string { return filepath.Join(a.Dir, f.Name) }

// Build is a build whose artifacts are published.
type Build struct {
	Recipe    target.Recipe
	Family    family.Family // the recipe's
	Lock      target.Lock
	Documents *record.Documents
	Ledger    evidence.Ledger
	Signer    evidence.Signer
	Keys      evidence.Keys
	Version   string // of Ingot
	Unscanned bool   // publish with a file system that the leak scan cannot read; the release is marked
}

// Release collects what is published. proven marks it as booted; the caller has
// compared the digests. If a file must not be published the error is a *LeakError.
func (b Build) Release(arts Artifacts, proven bool) (publish.Release, error) {
	rel := publish.Release{OS: b.Recipe.OS, Release: b.Recipe.Release, Variant: b.Recipe.Variant, Arch: b.Recipe.Arch, Version: arts.Version,
		KernelRelease: arts.Kernel.Release, KernelBuildID: arts.Kernel.BuildID, Proven: proven,
		Inputs: map[string]string{"recipe": b.Recipe.Digest()}, Tools: map[string]string{"ingot": b.Version}}
	if b.Recipe.Locked() {
		rel.Inputs["lock"], rel.Tools["compiler"] = b.Lock.Digest(), arts.Kernel.Compiler
	}
	if proven {
		d, _ := b.Documents.Of(evidence.KindProof)
		rel.Proof = d.ID
	}
	for _, s := range b.Lock.Suites {
		rel.Inputs["InRelease "+s.Archive+" "+s.Suite] = s.InRelease
	}
	for _, p := range b.locked() {
		rel.Packages = append(rel.Packages, p.Name+"="+p.Version+":"+p.Arch)
	}
	if d, ok := b.Documents.Of(evidence.KindImage); ok && b.Recipe.How() == target.VM {
		var img evidence.Image
		if err := d.Decode(&img); err != nil {
			return rel, err
		}
		rel.Packages = img.Packages
	}
	rel.Sources = b.sources()
	for _, a := range arts.Files {
		format, err := disk.FormatNamed(a.Format)
		if err != nil {
			return rel, err
		}
		f := publish.File{Name: a.Name, Path: arts.Path(a), SHA256: a.SHA256, MediaType: format.MediaType, Disk: format.Bootable}
		rel.Files = append(rel.Files, f)
	}
	docs, err := b.documents(arts, &rel)
	if err != nil {
		return rel, err
	}
	for _, d := range docs {
		rel.Files = append(rel.Files, publish.File{Name: "evidence/" + d.ID + ".json", Data: d.Envelope, MediaType: "application/json"})
	}
	if err := b.addKeys(&rel, docs); err != nil {
		return rel, err
	}
	return rel, b.addLogs(&rel)
}

// addKeys adds the public keys of the documents' signatures. Some may be earlier keys
// of the publisher; the release's signed list covers them, so that a reader needs only
// the publisher's current key.
func (b Build) addKeys(rel *publish.Release, docs []evidence.Document) error {
	ids := map[string]bool{}
	for _, d := range docs {
		if d.Trust == evidence.Signed {
			ids[d.KeyID] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		text, err := secret.FormatPublic(id, b.publicKey(id))
		if err != nil {
			return err
		}
		rel.Files = append(rel.Files, publish.File{Name: "evidence/" + id + ".pub", Data: []byte(text), MediaType: "text/plain"})
	}
	return nil
}

func (b Build) publicKey(id string) ed25519.PublicKey {
	if id == b.Signer.KeyID() {
		return b.Signer.Public()
	}
	return b.Keys[id]
}

// AllDocuments returns the documents of all cells except the receipt; for the artifacts
// one per file.
func (b Build) AllDocuments(arts Artifacts) ([]evidence.Document, error) {
	return b.documents(arts, new(publish.Release))
}

// documents returns the documents of all cells; for the artifacts one per file. It
// marks the release if a document shows an incomplete scan.
func (b Build) documents(arts Artifacts, rel *publish.Release) ([]evidence.Document, error) {
	var docs []evidence.Document
	for _, k := range evidence.Kinds {
		d, ok := b.Documents.Of(k)
		if ok && k != evidence.KindReceipt && k != evidence.KindArtifact {
			docs = append(docs, d)
		}
	}
	for _, a := range arts.Files {
		d, ok := b.Documents.Pass(evidence.KindArtifact, func(d evidence.Document) bool {
			return d.Subject().SHA256() == a.SHA256 && d.Subject().Name == a.Name
		})
		if !ok {
			return nil, fmt.Errorf("there is no signed evidence of %s: create it with `ingot build %s --force export`", a.Name, b.Recipe.Name)
		}
		unscanned, err := refuseLeaks(d, b.Unscanned)
		if err != nil {
			return nil, err
		}
		rel.Unscanned = rel.Unscanned || unscanned
		docs = append(docs, d)
	}
	return docs, nil
}

// addLogs adds the serial logs and screenshots of the proof.
func (b Build) addLogs(rel *publish.Release) error {
	d, ok := b.Documents.Of(evidence.KindProof)
	if !ok {
		return nil
	}
	var p evidence.Proof
	if err := d.Decode(&p); err != nil {
		return err
	}
	folder, err := b.Ledger.Build(d.Head.Target, d.Head.Build)
	if err != nil {
		return err
	}
	for _, boot := range p.Boots {
		files := []evidence.File{boot.Serial}
		if boot.Screenshot != nil {
			files = append(files, *boot.Screenshot)
		}
		for _, f := range files {
			path := filepath.Join(folder.Dir, filepath.FromSlash(f.Name))
			if info, err := os.Stat(path); err != nil || info.Size() == 0 {
				continue // the proof records an empty log itself
			}
			media := "text/plain"
			if strings.HasSuffix(f.Name, ".png") {
				media = "image/png"
			}
			rel.Files = append(rel.Files, publish.File{Name: "evidence/" + filepath.Base(f.Name), Path: path, SHA256: f.SHA256, MediaType: media})
		}
	}
	return nil
}

// locked returns the packages of the lock that are on the disk: the disk of a VM has its
// own packages.
func (b Build) locked() target.LockedPackages {
	if b.Recipe.How() == target.VM {
		return nil
	}
	return b.Lock.Rootfs
}

// sources returns the source package of every binary, as the GPL requires; it lists all
// of them, since not all licences are machine-readable. The addresses are public.
func (b Build) sources() []publish.Source {
	var out []publish.Source
	seen := map[string]bool{}
	if !b.Recipe.Locked() {
		return nil
	}
	for _, p := range append(slices.Clone(b.locked()), b.Lock.Kernel) {
		if seen[p.Source] {
			continue
		}
		seen[p.Source] = true
		out = append(out, publish.Source{Package: p.Source, URLs: b.Family.SourceURLs(b.Recipe.KernelRecipe(), p)})
	}
	slices.SortFunc(out, func(a, b publish.Source) int { return strings.Compare(a.Package, b.Package) })
	return out
}
