package build

import (
	"context"
	"fmt"

	"ingot/backend/evidence"
)

// BuiltKernel is the newest kernel of a target that signed evidence stands for:
// the folder with its files, whose digests were compared, and the evidence.
// ok is false where there is none, or where a file is gone or was changed.
func (l *Line) BuiltKernel(ctx context.Context, target string) (dir string, k evidence.Kernel, ok bool, err error) {
	docs, err := l.ledger(ctx, target)
	if err != nil {
		return "", k, false, fmt.Errorf("kernel of %s: %w", target, err)
	}
	for i := len(docs) - 1; i >= 0; i-- {
		d := docs[i]
		if d.Head.Kind != evidence.KindKernel || d.Trust != evidence.Signed || d.Head.Verdict != evidence.Passed || d.Decode(&k) != nil {
			continue
		}
		out, whole := l.store(evidence.KindKernel).load(StepKernel, d.Head.InputKey)
		return out.Dir, k, whole, nil
	}
	return "", evidence.Kernel{}, false, nil
}
