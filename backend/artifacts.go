package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"ingot/backend/evidence"
	"ingot/backend/home"
)

// ArtifactInfo is an exported file with what the ledger knows of it. Sizes are
// in bytes.
type ArtifactInfo struct {
	Target, Build, Name, Format string
	Path                        string
	At                          time.Time
	Size, Allocated             int64 // Allocated is what it takes on this disk
	SHA256                      string
	Evidence                    string
	Problem                     string // why the file is not what the evidence is about; "" when it is
	Boots                       State  // of this very digest
	Proof                       string // evidence id of the newest boot of this digest
	URL                         string // of the published disk of this digest
	Template                    string // address of its lima.yaml
	Local                       bool   // only the local store serves it
}

// Proven tells whether this file, as it lies there, was seen to boot.
func (a ArtifactInfo) Proven() bool { return a.Problem == "" && a.Boots == Passed }

// Artifacts lists the newest export of each target, in the targets' order.
func (b *Backend) Artifacts(ctx context.Context) ([]ArtifactInfo, error) {
	var out []ArtifactInfo
	for _, name := range b.targets.Names() {
		docs, err := b.ledger.Newest(ctx, name, b.Keys())
		if err != nil {
			return nil, err
		}
		out = append(out, b.artifactsOf(docs)...)
	}
	return out, b.digests.Save()
}

// artifactsOf takes the artifacts of one export out of a target's documents.
func (b *Backend) artifactsOf(docs []evidence.Document) []ArtifactInfo {
	var out []ArtifactInfo
	for _, d := range docs {
		var a evidence.Artifact
		if d.Head.Kind != evidence.KindArtifact || d.Trust != evidence.Signed || d.Decode(&a) != nil || !filepath.IsLocal(filepath.FromSlash(a.File)) {
			continue
		}
		if len(out) > 0 && out[0].Build != d.Head.Build {
			out = nil // an older export
		}
		i := ArtifactInfo{Target: d.Head.Target, Build: d.Head.Build, Name: a.Name, Format: a.Format, Path: b.ArtifactPath(a), At: d.Head.At, Size: a.Size, SHA256: d.Subject().SHA256(), Evidence: d.ID}
		_, i.Allocated = home.Usage(i.Path)
		switch sum, err := b.digests.Of(i.Path); {
		case errors.Is(err, fs.ErrNotExist):
			i.Problem = "the file is gone"
		case err != nil:
			i.Problem = err.Error()
		case sum != i.SHA256:
			i.Problem = "the file was changed after it was exported"
		}
		for _, p := range docs {
			i.join(p)
		}
		out = append(out, i)
	}
	return out
}

// join takes in what a document says of the same digest.
func (i *ArtifactInfo) join(d evidence.Document) {
	if d.Subject().SHA256() != i.SHA256 {
		return
	}
	var r evidence.Receipt
	switch {
	case isProof(d):
		i.Boots, i.Proof = Passed, d.ID
	case d.Head.Kind == evidence.KindProof && d.Head.Verdict == evidence.Failed && !d.Unbelievable():
		i.Boots, i.Proof = Failed, d.ID
	case d.Head.Kind == evidence.KindReceipt && d.Trust == evidence.Signed && d.Decode(&r) == nil:
		i.URL, i.Local = r.Disk, r.Local
		i.Template = strings.TrimSuffix(r.URL, "/") + "/lima.yaml"
	}
}

// HandOut returns the file to give to another program: the artifact itself when
// it is proven; else a hard link whose name says what it is not. The bytes are
// never copied.
func (b *Backend) HandOut(a ArtifactInfo) (string, error) {
	sum, err := b.digests.Of(a.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", &NothingToDoError{fmt.Sprintf("%s is gone: `ingot build %s --until export` makes it again", a.Name, a.Target)}
	case err != nil:
		return "", &FileError{a.Path, err}
	case sum == a.SHA256 && a.Boots == Passed:
		return a.Path, nil
	}
	mark := "UNPROVEN"
	if sum != a.SHA256 {
		mark = "CHANGED"
	}
	dir := filepath.Join(b.Home.Data, "handout")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", &FileError{dir, err}
	}
	ext := path.Ext(a.Name)
	link := filepath.Join(dir, strings.TrimSuffix(a.Name, ext)+"-"+mark+ext)
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", &FileError{link, err}
	}
	if err := os.Link(a.Path, link); err != nil {
		return "", &FileError{link, err}
	}
	return link, nil
}

// Journal reads the events of a build.
func (b *Backend) Journal(target, id string) ([]Event, error) {
	bd, err := b.findBuild(target, id)
	if err != nil {
		return nil, err
	}
	return bd.Journal()
}

// LogFiles are the paths of a build's logs, in the order of their names.
func (b *Backend) LogFiles(target, id string) ([]string, error) {
	bd, err := b.findBuild(target, id)
	if err != nil {
		return nil, err
	}
	return filepath.Glob(bd.LogPath("*.log"))
}

// BuildFile is the path of a file that evidence of a build names.
func (b *Backend) BuildFile(d Document, f evidence.File) (string, error) {
	if !filepath.IsLocal(filepath.FromSlash(f.Name)) {
		return "", &VerifyError{"evidence.unreadable", fmt.Sprintf("%s names the file %q", d.ID, f.Name)}
	}
	bd, err := b.ledger.Build(d.Head.Target, d.Head.Build)
	if err != nil {
		return "", err
	}
	return filepath.Join(bd.Dir, filepath.FromSlash(f.Name)), nil
}
