package home

import (
	"strconv"
	"strings"
)

// Battery is the state of this computer's battery. The zero value means that it
// has none or is not discharging.
type Battery struct {
	Discharging bool
	Percent     int
}

// lowBattery is the charge, in percent, below which batch builds are postponed.
const lowBattery = 20

// Low reports whether batch builds should be postponed.
func (b Battery) Low() bool { return b.Discharging && b.Percent < lowBattery }

// parsePmset reads the output of `pmset -g batt` (pmset(1)):
//
//	Now drawing from 'Battery Power'
//	 -InternalBattery-0 (id=123)	87%; discharging; 4:12 remaining present: true
func parsePmset(text string) Battery {
	var b Battery
	b.Discharging = strings.Contains(text, "'Battery Power'")
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "InternalBattery") {
			continue
		}
		before, _, ok := strings.Cut(line, "%")
		if fields := strings.Fields(before); ok && len(fields) > 0 {
			b.Percent, _ = strconv.Atoi(fields[len(fields)-1]) // 0 counts as empty
		}
		return b
	}
	return Battery{}
}
