package lima

import (
	"context"
	"fmt"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/guest/notes"
)

// KernelIn reads which kernel an instance runs.
func KernelIn(ctx context.Context, l *Limactl, name string) (release, buildID string, err error) {
	out, err := l.Shell(ctx, name, "uname", "-r")
	if err != nil {
		return "", "", err
	}
	raw, err := l.Shell(ctx, name, "cat", "/sys/kernel/notes")
	return strings.TrimSpace(string(out)), notes.BuildID(raw), err
}

// SameKernel compares the kernel that an instance runs with the wanted one; an empty
// value accepts any.
func SameKernel(instance, release, buildID, wantRelease, wantBuildID string) error {
	if wantRelease != "" && release != wantRelease || wantBuildID != "" && buildID != wantBuildID {
		return cause.With("boot.wrong-kernel", fmt.Errorf("instance %s runs the kernel %s (build-id %s) instead of %s (%s)", instance, release, buildID, wantRelease, wantBuildID))
	}
	return nil
}
