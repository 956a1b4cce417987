package status

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

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/evidence"
	"ingot/backend/home"
)

// ArtifactInfo is an exported file with its state according to the ledger.
// Sizes are in bytes.
type ArtifactInfo struct {
	Target, Build, Name, Format string
	Path                        string
	At                          time.Time
	Size, Allocated             int64 // Allocated is the space on this disk
	SHA256                      string
	Evidence                    string
	Problem                     string    // why the file is not the one that the evidence is about; "" if it is
	Boots                       api.State // of exactly this digest
	Proof                       string    // evidence id of the newest proof of this digest
	URL                         string    // of the published disk of this digest
	Template                    string    // address of the published lima.yaml
	Local                       bool      // served only by the local store
}

// Proven reports whether the file is unchanged and has booted.
func (a ArtifactInfo) Proven() bool { return a.Problem == "" && a.Boots == api.Passed }

// Artifacts lists the newest export of each target, in the order of the
// targets.
func Artifacts(ctx context.Context, b *backend.Backend) ([]ArtifactInfo, error) {
	var out []ArtifactInfo
	for _, name := range b.Targets.Names() {
		docs, err := b.Ledger.Newest(ctx, name, b.Keys)
		if err != nil {
			return nil, err
		}
		out = append(out, ArtifactsOf(b, docs)...)
	}
	return out, b.Digests.Save()
}

// ArtifactsOf returns the artifacts of the newest export in a target's
// documents.
func ArtifactsOf(b *backend.Backend, docs []evidence.Document) []ArtifactInfo {
	var out []ArtifactInfo
	for _, d := range docs {
		var a evidence.Artifact
		if d.Head.Kind != evidence.KindArtifact || d.Trust != evidence.Signed || d.Decode(&a) != nil || !filepath.IsLocal(filepath.FromSlash(a.File)) {
			continue
		}
		if len(out) > 0 && out[0].Build != d.Head.Build {
			out = nil // an older export
		}
		i := ArtifactInfo{Target: d.Head.Target, Build: d.Head.Build, Name: a.Name, Format: a.Format, Path: ArtifactPath(b, a), At: d.Head.At, Size: a.Size, SHA256: d.Subject().SHA256(), Evidence: d.ID}
		_, i.Allocated = home.Usage(i.Path)
		switch sum, err := b.Digests.Of(i.Path); {
		case errors.Is(err, fs.ErrNotExist):
			i.Problem = "the file is missing"
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

// join adds the facts of a document about the same digest.
func (i *ArtifactInfo) join(d evidence.Document) {
	if d.Subject().SHA256() != i.SHA256 {
		return
	}
	var r evidence.Receipt
	switch {
	case evidence.Boots(d):
		i.Boots, i.Proof = api.Passed, d.ID
	case d.Head.Kind == evidence.KindProof && d.Head.Verdict == evidence.Failed && !d.Unbelievable():
		i.Boots, i.Proof = api.Failed, d.ID
	case d.Head.Kind == evidence.KindReceipt && d.Trust == evidence.Signed && d.Decode(&r) == nil:
		i.URL, i.Local = r.Disk, r.Local
		i.Template = strings.TrimSuffix(r.URL, "/") + "/lima.yaml"
	}
}

// HandOut returns a path of the file for another program. It is the artifact
// itself if it is proven, or else a hard link whose name says that it is not.
// The file is not copied.
func HandOut(b *backend.Backend, a ArtifactInfo) (string, error) {
	sum, err := b.Digests.Of(a.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", &backend.NothingToDoError{Msg: fmt.Sprintf("%s is missing: `ingot build %s --until export` makes it again", a.Name, a.Target)}
	case err != nil:
		return "", &backend.FileError{File: a.Path, Err: err}
	case sum == a.SHA256 && a.Boots == api.Passed:
		return a.Path, nil
	}
	mark := "UNPROVEN"
	if sum != a.SHA256 {
		mark = "CHANGED"
	}
	dir := filepath.Join(b.Home.Data, "handout")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", &backend.FileError{File: dir, Err: err}
	}
	ext := path.Ext(a.Name)
	link := filepath.Join(dir, strings.TrimSuffix(a.Name, ext)+"-"+mark+ext)
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", &backend.FileError{File: link, Err: err}
	}
	if err := os.Link(a.Path, link); err != nil {
		return "", &backend.FileError{File: link, Err: err}
	}
	return link, nil
}

// Journal reads the events of a build.
func Journal(b *backend.Backend, target, id string) ([]api.Event, error) {
	bd, err := FindBuild(b, target, id)
	if err != nil {
		return nil, err
	}
	return bd.Journal()
}

// LogFiles returns the paths of a build's logs, sorted by name.
func LogFiles(b *backend.Backend, target, id string) ([]string, error) {
	bd, err := FindBuild(b, target, id)
	if err != nil {
		return nil, err
	}
	return filepath.Glob(bd.LogPath("*.log"))
}

// BuildFile returns the path of a file that a document of a build names.
func BuildFile(b *backend.Backend, d api.Document, f evidence.File) (string, error) {
	if !filepath.IsLocal(filepath.FromSlash(f.Name)) {
		return "", &backend.VerifyError{Cause: "evidence.unreadable", Msg: fmt.Sprintf("%s names the file %q", d.ID, f.Name)}
	}
	bd, err := b.Ledger.Build(d.Head.Target, d.Head.Build)
	if err != nil {
		return "", err
	}
	return filepath.Join(bd.Dir, filepath.FromSlash(f.Name)), nil
}
