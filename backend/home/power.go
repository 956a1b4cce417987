package home

import (
	"strconv"
	"strings"
)

// Battery is what is known of this computer's battery. The zero value is that
// of a computer that needs none.
type Battery struct {
	Discharging bool
	Percent     int
}

// lowBattery is the charge, in percent, below which work that can wait does.
const lowBattery = 20

// Low tells that work which can wait should.
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
