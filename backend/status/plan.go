package status

import (
	"context"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/build"
)

// Plan returns the plan of the build that a submission asks for, and which
// steps would run now. Nothing is run or recorded.
func Plan(ctx context.Context, b *backend.Backend, s api.Submission) (build.Plan, error) {
	return b.Line().Plan(ctx, build.Options{Target: s.Target, Until: s.Until, Force: s.Force, Unproven: s.Unproven, Unscanned: s.Unscanned, Check: s.Check})
}
