package record

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"time"

	"ingot/backend/evidence"
)

// NewID returns the id of a build: the time in seconds and 65,536ths. Ids sort by time,
// and all ids of one process are different.
func NewID(now time.Time) string {
	made.Lock()
	defer made.Unlock()
	tick := now.Unix()<<16 | int64(now.Nanosecond())<<16/int64(time.Second)
	if made.of[tick>>16] >= tick { // an id of this second may exist already
		tick = made.of[tick>>16] + 1
	}
	if len(made.of) > 1<<10 {
		made.of = nil
	}
	if made.of == nil {
		made.of = map[int64]int64{}
	}
	made.of[tick>>16] = tick
	return fmt.Sprintf("%s-%04x", time.Unix(tick>>16, 0).UTC().Format("20060102-150405"), tick&0xffff)
}

// made has the newest tick of each second for which NewID returned an id.
var made struct {
	sync.Mutex
	of map[int64]int64
}

var id = regexp.MustCompile(`^[0-9]{8}-[0-9]{6}-[0-9a-f]{4}$`)

// IsID reports whether a name has the form of a build id.
func IsID(name string) bool { return id.MatchString(name) }

// FilesTarget is the name under which the ledger has the files that are not from a
// target's build.
const FilesTarget = "files"

// FilesFolder begins the record of a file that is not from a target's build: in the
// ledger such files are together below "files".
func (h Home) FilesFolder() (evidence.Build, error) {
	return h.Ledger.Build(FilesTarget, NewID(time.Now()))
}

// FileHead completes the head of a document of such a record.
func (h Home) FileHead(folder evidence.Build, head evidence.Head) evidence.Head {
	head.APIVersion, head.Target, head.Build, head.At, head.Tool = "ingot/v1", folder.Target, folder.ID, time.Now().UTC(), "ingot "+h.Version
	return head
}

// ProofHead returns the head of a proof of such a file, with the proof's result.
func (h Home) ProofHead(folder evidence.Build, p evidence.Proof, inputKey string) evidence.Head {
	return h.FileHead(folder, evidence.Head{Kind: evidence.KindProof, Verdict: p.Verdict, Cause: p.Cause, Message: p.Message, Fix: p.Fix, InputKey: inputKey})
}

// KeepFile signs a document and adds it to the record of its file.
func (h Home) KeepFile(ctx context.Context, folder evidence.Build, subject evidence.Subject, head evidence.Head, doc any) (evidence.Document, error) {
	return folder.Record(ctx, h.Author(), subject, head, doc)
}
