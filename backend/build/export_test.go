package build

import (
	"testing"

	"ingot/backend/guest"
)

// Helpers that the tests of package delivery, which imports this one, use too.
var (
	DocumentsOf = documents
	Sha         = sha
	About       = about
	Published   = published
)

// PlayedLine returns playedLine with a new guest.
func PlayedLine(t *testing.T) *Line {
	t.Helper()
	return playedLine(t, &played{Local: guest.Local{WorkRoot: t.TempDir()}})
}
