package build

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"

	"ingot/backend/evidence"
	"ingot/backend/publish"
	"ingot/backend/team"
)

// Made is a file that a build made for whoever asked for the build.
type Made struct {
	Kind team.PieceKind
	publish.File
}

// Work runs a build for another home, and returns what that one needs to go on
// with it: the documents of all cells and, of a build that passed, the files
// that they are about. The error says how the build ended; there is something
// made all the same.
func (l *Line) Work(ctx context.Context, opt Options) ([]Made, error) {
	r, err := l.begin(ctx, opt)
	if err != nil {
		return nil, err
	}
	err = r.end(r.all(ctx))
	if err != nil {
		r.arts = artifacts{} // of no use to anybody
	}
	made, merr := r.made(context.WithoutCancel(ctx))
	if err != nil {
		return made, err // what it made is told as far as it can be
	}
	return made, merr
}

// made gathers the documents, their records, the logs and the artifacts.
func (r *run) made(ctx context.Context) ([]Made, error) {
	docs, err := r.madeDocuments(ctx)
	var out []Made
	for _, d := range docs {
		out = append(out, Made{team.Document, publish.File{Name: d.ID, Data: d.Envelope}})
		for _, f := range bootFiles(d) {
			bd, berr := r.Ledger.Build(d.Head.Target, d.Head.Build)
			err = errors.Join(err, berr)
			if f.Size > 0 {
				out = append(out, Made{team.Record, publish.File{Name: f.Name, Path: filepath.Join(bd.Dir, filepath.FromSlash(f.Name))}})
			}
		}
	}
	logs, gerr := filepath.Glob(r.folder.LogPath("*.log"))
	for _, l := range logs {
		out = append(out, Made{team.Record, publish.File{Name: "logs/" + filepath.Base(l), Path: l}})
	}
	for _, a := range r.arts.Files {
		out = append(out, Made{team.Artifact, publish.File{Name: a.Name, Path: r.arts.path(a)}})
	}
	return out, errors.Join(err, gerr)
}

// madeDocuments are those that the build's steps refer to, and all of its own.
func (r *run) madeDocuments(ctx context.Context) ([]evidence.Document, error) {
	byID := map[string]evidence.Document{}
	docs, err := r.folder.Evidence(ctx, r.Keys)
	if len(r.arts.Files) > 0 && err == nil {
		var more []evidence.Document
		more, err = r.releaseDocuments(r.arts)
		docs = append(docs, more...)
	}
	for _, k := range evidence.Kinds {
		if d, ok := r.records.of(k); ok {
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

// bootFiles are the logs and screenshots that a proof names.
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
