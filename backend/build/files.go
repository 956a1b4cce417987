package build

import (
	"context"

	"ingot/backend/evidence"
)

// FilesFolder begins a record of a file that no target's build made: in the
// ledger such files stand together, under "files".
func (l *Line) FilesFolder() (evidence.Build, error) {
	return l.Ledger.Build("files", NewID(now()))
}

// FileHead completes the head of a document of such a record; what the document
// says stands in h.
func (l *Line) FileHead(folder evidence.Build, h evidence.Head) evidence.Head {
	h.APIVersion, h.Target, h.Build, h.At, h.Tool = "ingot/v1", folder.Target, folder.ID, now(), "ingot "+l.Version
	return h
}

// ProofHead is the head of a proof, with what it found.
func (l *Line) ProofHead(folder evidence.Build, p evidence.Proof, inputKey string) evidence.Head {
	return l.FileHead(folder, evidence.Head{Kind: evidence.KindProof, Verdict: p.Verdict, Cause: p.Cause, Message: p.Message, Fix: p.Fix, InputKey: inputKey})
}

// KeepFile signs a document with that head and adds it to its record.
func (l *Line) KeepFile(ctx context.Context, folder evidence.Build, subject evidence.Subject, head evidence.Head, doc any) (evidence.Document, error) {
	d, err := evidence.Seal(ctx, l.Signer, subject, head, doc)
	if err != nil {
		return d, err
	}
	return folder.Add(d)
}
