package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ingot/backend/evidence"
)

// Reindexed is what a reindex of the ledger found.
type Reindexed struct {
	Builds    int      `json:"builds"`
	Documents int      `json:"documents"`
	Signed    int      `json:"signed"`   // passes whose signature fits
	Recorded  int      `json:"recorded"` // failures, which are not signed
	Files     int      `json:"files"`    // artifacts hashed again
	Problems  []string `json:"problems"` // what cannot be believed; a file that is gone is none
}

// LedgerError says that the ledger holds what cannot be believed.
type LedgerError struct{ Problems int }

func (e *LedgerError) Error() string {
	return fmt.Sprintf("%d things in the ledger cannot be believed or are gone; `ingot status` does not count them", e.Problems)
}

// Reindex throws away what is remembered of files, and reads the whole ledger
// again: every document's name, content and signature, and the bytes of every
// artifact. There is no other index: lists are read from the files.
func (b *Backend) Reindex(ctx context.Context) (Reindexed, error) {
	rep := Reindexed{Problems: []string{}}
	path := filepath.Join(b.Home.Data, "digests.json")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return rep, err
	}
	b.digests = evidence.OpenDigests(path)
	names, err := b.ledger.Targets()
	if err != nil {
		return rep, err
	}
	for _, n := range names {
		builds, err := b.ledger.Builds(n)
		if err != nil {
			return rep, err
		}
		for _, bd := range builds {
			rep.Builds++
			docs, err := bd.Evidence(ctx, b.keys)
			if err != nil {
				return rep, err
			}
			for _, d := range docs {
				b.reindexDocument(&rep, bd, d)
			}
			if _, err := bd.Journal(); err != nil {
				rep.Problems = append(rep.Problems, err.Error())
			}
		}
	}
	if err := b.digests.Save(); err != nil {
		return rep, err
	}
	if len(rep.Problems) > 0 {
		return rep, &LedgerError{len(rep.Problems)}
	}
	return rep, nil
}

func (b *Backend) reindexDocument(rep *Reindexed, bd evidence.Build, d evidence.Document) {
	rep.Documents++
	switch d.Trust {
	case evidence.Signed:
		rep.Signed++
	case evidence.Unsigned:
		rep.Recorded++
	default:
		rep.Problems = append(rep.Problems, fmt.Sprintf("%s of %s/%s: %s", d.ID, bd.Target, bd.ID, d.Problem))
		return
	}
	var a evidence.Artifact
	if d.Head.Kind != evidence.KindArtifact || d.Trust != evidence.Signed || d.Decode(&a) != nil || !filepath.IsLocal(filepath.FromSlash(a.File)) {
		return
	}
	sum, err := b.digests.Of(b.ArtifactPath(a))
	switch {
	case errors.Is(err, fs.ErrNotExist): // a later export took its place
	case err != nil:
		rep.Problems = append(rep.Problems, err.Error())
	case sum != d.Subject().SHA256():
		rep.Files++
		rep.Problems = append(rep.Problems, fmt.Sprintf("%s has other bytes than %s is about", a.File, d.ID))
	default:
		rep.Files++
	}
}
