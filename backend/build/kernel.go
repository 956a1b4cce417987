package build

import (
	"context"
	"fmt"

	"ingot/backend/evidence"
)

// BuiltKernel returns the newest kernel of a target with signed evidence: the folder
// with its files, whose digests were compared, and the evidence. ok is false if there
// is none, or if a file is missing or was changed.
func (l *Line) BuiltKernel(ctx context.Context, target string) (dir string, k evidence.Kernel, ok bool, err error) {
	docs, err := l.Records().Evidence(ctx, target)
	if err != nil {
		return "", k, false, fmt.Errorf("kernel of %s: %w", target, err)
	}
	for i := len(docs) - 1; i >= 0; i-- {
		d := docs[i]
		if d.Head.Kind != evidence.KindKernel || d.Trust != evidence.Signed || d.Head.Verdict != evidence.Passed || d.Decode(&k) != nil {
			continue
		}
		out, whole := l.Outputs(evidence.KindKernel).Load(StepKernel, d.Head.InputKey)
		return out.Dir, k, whole, nil
	}
	return "", evidence.Kernel{}, false, nil
}
