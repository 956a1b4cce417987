package retention

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ingot/backend"
	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/status"
)

// Reindexed is the result of Reindex.
type Reindexed struct {
	Builds    int      `json:"builds"`
	Documents int      `json:"documents"`
	Signed    int      `json:"signed"`   // passes with a valid signature
	Recorded  int      `json:"recorded"` // failures, which are unsigned
	Files     int      `json:"files"`    // artifacts whose digest was computed again
	Problems  []string `json:"problems"` // documents and artifacts that cannot be trusted; a missing file is not one
}

// LedgerError reports that the ledger has documents or artifacts that cannot be
// trusted.
type LedgerError struct{ Problems int }

func (e *LedgerError) Error() string {
	return fmt.Sprintf("%d documents or artifacts in the ledger are damaged or not trusted; `ingot status` ignores them", e.Problems)
}

// ErrorClass sorts the error; see package cause.
func (*LedgerError) ErrorClass() cause.Class { return cause.Verify }

// Reindex empties the digest cache and reads the whole ledger again: every
// document's name, content and signature, and the content of every artifact.
// There is no other index: lists are read from the files.
func Reindex(ctx context.Context, b *backend.Backend) (Reindexed, error) {
	rep := Reindexed{Problems: []string{}}
	path := filepath.Join(b.Home.Data, "digests.json")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return rep, err
	}
	b.Digests = evidence.OpenDigests(path)
	names, err := b.Ledger.Targets()
	if err != nil {
		return rep, err
	}
	for _, n := range names {
		past, err := b.Ledger.History(ctx, n, b.Keys)
		if err != nil {
			return rep, err
		}
		for _, bd := range past.Recorded {
			rep.Builds++
			docs, err := past.Of(ctx, bd)
			if err != nil {
				return rep, err
			}
			for _, d := range docs {
				reindexDocument(b, &rep, bd, d)
			}
			if _, err := bd.Journal(); err != nil {
				rep.Problems = append(rep.Problems, err.Error())
			}
		}
	}
	if err := b.Digests.Save(); err != nil {
		return rep, err
	}
	if len(rep.Problems) > 0 {
		return rep, &LedgerError{len(rep.Problems)}
	}
	return rep, nil
}

func reindexDocument(b *backend.Backend, rep *Reindexed, bd evidence.Build, d evidence.Document) {
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
	sum, err := b.Digests.Of(status.ArtifactPath(b, a))
	switch {
	case errors.Is(err, fs.ErrNotExist): // a later export has replaced it
	case err != nil:
		rep.Problems = append(rep.Problems, err.Error())
	case sum != d.Subject().SHA256():
		rep.Files++
		rep.Problems = append(rep.Problems, fmt.Sprintf("%s is not the file that %s is about", a.File, d.ID))
	default:
		rep.Files++
	}
}
