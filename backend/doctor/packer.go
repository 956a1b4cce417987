package doctor

import (
	"context"

	"ingot/backend/packer"
	"ingot/backend/packer/platform"
)

// Types of package packer, for the verbs and the app.
type (
	PackerOptions   = packer.Options
	PackerDiagnosis = packer.Diagnosis
	PackerFinding   = packer.Finding
	PackerMended    = packer.Mended
)

// ExaminePacker says why a Packer template does not start its machine; see
// packer.Diagnose.
func ExaminePacker(ctx context.Context, opt PackerOptions) (*PackerDiagnosis, error) {
	return packer.Diagnose(ctx, opt)
}

// MendPacker returns the template with the fixes of findings; see packer.Mend.
func MendPacker(ctx context.Context, opt PackerOptions) (*PackerMended, error) {
	return packer.Mend(ctx, opt)
}

// PackerPlatforms lists the platforms for which a template can be judged besides this
// computer, as OS/ARCH.
func PackerPlatforms() []string { return platform.Known() }
