package window

import (
	"strings"
	"testing"
	"time"

	"ingot/backend/vm"
)

// The sheet says how long the last image of a VM took, by the journal of its target's last
// build that passed.
func TestLastTook(t *testing.T) {
	p, news := recorded(t)
	s := shown(t, p, "home", news)
	got := s.lastTook("debian-12-arm64-lean")
	if got < 26*time.Minute || got > 27*time.Minute {
		t.Errorf("%s", got)
	}
	if none := s.lastTook("debian-12-arm64"); none != 0 {
		t.Errorf("without a build: %s", none)
	}
	if text := roomText(vm.ImagePlan{Target: "x"}, 4*time.Minute); !strings.Contains(text, "The last image of it took 4m0s.") {
		t.Error(text)
	}
	if text := roomText(vm.ImagePlan{}, 0); strings.Contains(text, "took") {
		t.Error(text)
	}
}
