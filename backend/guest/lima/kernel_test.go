package lima

import (
	"testing"

	"ingot/backend/cause"
)

// An instance that runs another kernel is an error.
func TestSameKernel(t *testing.T) {
	for name, c := range map[string]struct {
		release, id, wantRelease, wantID, cause string
	}{
		"ours":           {"6.1-ingot-1", "aa", "6.1-ingot-1", "aa", ""},
		"any":            {"6.1-cloud", "", "", "", ""},
		"another":        {"6.1-cloud", "bb", "6.1-ingot-1", "aa", "boot.wrong-kernel"},
		"of other bytes": {"6.1-ingot-1", "bb", "6.1-ingot-1", "aa", "boot.wrong-kernel"},
		"no build-id":    {"6.1-ingot-1", "", "6.1-ingot-1", "aa", "boot.wrong-kernel"},
		"no answer":      {"", "", "6.1-ingot-1", "aa", "boot.wrong-kernel"},
	} {
		if err := SameKernel("vm", c.release, c.id, c.wantRelease, c.wantID); cause.Of(err) != c.cause {
			t.Errorf("%s: %v, want %q", name, err, c.cause)
		}
	}
}
