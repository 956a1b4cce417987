package home

import "testing"

func TestParsePmset(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want Battery
		low  bool
	}{
		"mains":          {"Now drawing from 'AC Power'\n -InternalBattery-0 (id=4653155)\t12%; charging; 1:20 remaining present: true\n", Battery{false, 12}, false},
		"battery":        {"Now drawing from 'Battery Power'\n -InternalBattery-0 (id=4653155)\t87%; discharging; 4:12 remaining present: true\n", Battery{true, 87}, false},
		"low":            {"Now drawing from 'Battery Power'\n -InternalBattery-0 (id=4653155)\t9%; discharging; 0:12 remaining present: true\n", Battery{true, 9}, true},
		"desktop":        {"Now drawing from 'AC Power'\n", Battery{}, false},
		"ups only":       {"Now drawing from 'Battery Power'\n -UPS (id=1)\t5%; discharging\n", Battery{}, false},
		"nothing at all": {"", Battery{}, false},
	} {
		if got := parsePmset(c.text); got != c.want || got.Low() != c.low {
			t.Errorf("%s: %+v (low %v), want %+v (low %v)", name, got, got.Low(), c.want, c.low)
		}
	}
}
