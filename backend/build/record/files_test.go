package record

import (
	"slices"
	"testing"
	"time"
)

// Ids sort by time, also within a second, and all are different, even those of one
// instant and at the end of a second.
func TestNewID(t *testing.T) {
	second := time.Date(2026, 11, 28, 22, 30, 15, 0, time.UTC)
	var ids []string
	for i := range 200 {
		ids = append(ids, NewID(second.Add(time.Duration(i)*time.Millisecond)))
	}
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Errorf("%v", ids)
	}
	last := second.Add(time.Second - 1)
	a, b, c := NewID(last), NewID(last), NewID(last.Add(2))
	if !(a < b && b < c) || !IsID(a) || !IsID(b) || !IsID(c) {
		t.Errorf("%s, %s, %s", a, b, c)
	}
	if d := NewID(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)); d != "20200101-000000-0000" {
		t.Errorf("an earlier time: %s", d)
	}
}
