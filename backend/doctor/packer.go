package doctor

import (
	"context"
	"path/filepath"

	"ingot/backend"
	"ingot/backend/packer"
	"ingot/backend/packer/platform"
	"ingot/backend/packer/run"
)

// Types of package packer, for the verbs and the app.
type (
	PackerOptions    = packer.Options
	PackerDiagnosis  = packer.Diagnosis
	PackerFinding    = packer.Finding
	PackerMended     = packer.Mended
	PackerRun        = run.Run
	PackerRunOptions = run.Options
	PackerOutcome    = run.Outcome
	PackerDisk       = run.Disk
	PackerMessage    = run.Message
)

// Kinds of a PackerMessage.
const (
	PackerDiagnosed = run.Diagnosed
	PackerPrinted   = run.Printed
	PackerProving   = run.Proving
	PackerEnded     = run.Ended
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

// PreparePackerRun looks at a template and at this computer's Packer; see run.Prepare. The
// files of the run are kept in the home.
func PreparePackerRun(ctx context.Context, b *backend.Backend, opt PackerRunOptions) (*PackerRun, error) {
	opt.Data, opt.Children = filepath.Join(b.Home.Data, "packer"), b.Children()
	return run.Prepare(ctx, opt)
}
