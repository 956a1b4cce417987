package backend

import (
	"path/filepath"
	"strings"

	"ingot/backend/target"
)

// ArchOf returns the architecture of an image: arch if it is not empty, else
// the one in the file's name, else arm64.
func ArchOf(file, arch string) string {
	if arch != "" {
		return arch
	}
	if base := filepath.Base(file); strings.Contains(base, "amd64") || strings.Contains(base, "x86_64") {
		return "amd64"
	}
	return "arm64"
}

// ProofRecipe returns memory and deadlines for booting an image of no target:
// those of a shipped target, without its smoke checks.
func (b *Backend) ProofRecipe() target.Proof {
	for _, n := range b.Targets.Names() {
		if r, err := b.Targets.Get(n); err == nil {
			p := r.Proof
			p.Smoke = target.Smoke{}
			return p
		}
	}
	return target.Proof{Memory: 1 << 30, CPUs: 2}
}
