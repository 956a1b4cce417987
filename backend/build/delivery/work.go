package delivery

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"

	"ingot/backend/build"
	"ingot/backend/build/release"
	"ingot/backend/evidence"
	"ingot/backend/publish"
	"ingot/backend/team"
)

// Made is a file of a build to deliver to the submitter.
type Made struct {
	Kind team.PieceKind
	publish.File
}

// Work runs a build for another home, and returns what that home needs to continue it:
// the documents of all cells and, if the build passed, the files that they are about.
// The error is the build's; the files are returned with it.
func Work(ctx context.Context, l *build.Line, opt build.Options) ([]Made, error) {
	s, err := l.Begin(ctx, opt)
	if err != nil {
		return nil, err
	}
	err = s.End(s.Run(ctx))
	arts := s.Artifacts()
	if err != nil {
		arts = release.Artifacts{} // a failed build's files are not delivered
	}
	made, merr := gather(context.WithoutCancel(ctx), s, arts)
	if err != nil {
		return made, err
	}
	return made, merr
}

// gather returns the documents, their records, the logs and the artifacts.
func gather(ctx context.Context, s *build.Session, arts release.Artifacts) ([]Made, error) {
	docs, err := documents(ctx, s, arts)
	var out []Made
	for _, d := range docs {
		out = append(out, Made{team.Document, publish.File{Name: d.ID, Data: d.Envelope}})
		for _, f := range bootFiles(d) {
			bd, berr := s.Ledger.Build(d.Head.Target, d.Head.Build)
			err = errors.Join(err, berr)
			if f.Size > 0 {
				out = append(out, Made{team.Record, publish.File{Name: f.Name, Path: filepath.Join(bd.Dir, filepath.FromSlash(f.Name)), SHA256: f.SHA256}})
			}
		}
	}
	logs, gerr := filepath.Glob(s.Folder.LogPath("*.log"))
	for _, l := range logs {
		out = append(out, Made{team.Record, publish.File{Name: "logs/" + filepath.Base(l), Path: l}})
	}
	for _, a := range arts.Files {
		out = append(out, Made{team.Artifact, publish.File{Name: a.Name, Path: arts.Path(a), SHA256: a.SHA256}})
	}
	return out, errors.Join(err, gerr)
}

// documents returns the documents to which the build's steps refer, and all of the
// build.
func documents(ctx context.Context, s *build.Session, arts release.Artifacts) ([]evidence.Document, error) {
	byID := map[string]evidence.Document{}
	docs, err := s.Folder.Evidence(ctx, s.Line.Keys)
	if len(arts.Files) > 0 && err == nil {
		var more []evidence.Document
		more, err = s.Releasing().AllDocuments(arts)
		docs = append(docs, more...)
	}
	for _, k := range evidence.Kinds {
		if d, ok := s.Documents.Of(k); ok {
			docs = append(docs, d)
		}
	}
	for _, d := range docs {
		if d.Head.Kind != evidence.KindReceipt && !d.Unbelievable() {
			byID[d.ID] = d
		}
	}
	return slices.SortedFunc(maps.Values(byID), func(a, b evidence.Document) int {
		return cmp.Or(a.Head.At.Compare(b.Head.At), cmp.Compare(a.ID, b.ID))
	}), err
}

// bootFiles returns the logs and screenshots that a proof names.
func bootFiles(d evidence.Document) []evidence.File {
	var p evidence.Proof
	if d.Head.Kind != evidence.KindProof || d.Decode(&p) != nil {
		return nil
	}
	var out []evidence.File
	for _, b := range p.Boots {
		out = append(out, b.Serial)
		if b.Screenshot != nil {
			out = append(out, *b.Screenshot)
		}
	}
	return out
}
