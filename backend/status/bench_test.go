package status

import (
	"context"
	"testing"
	"time"

	"ingot/backend/hometest"
)

// BenchmarkStatus is the reality of 200 targets with 50 builds each. The first
// one checks every signature; those after it in the same process need not.
func BenchmarkStatus(b *testing.B) {
	home := hometest.Ledger(b, 200, 50)
	fold := func() {
		rows, err := Rows(context.Background(), home)
		if err != nil || len(rows) < 200 {
			b.Fatalf("%d rows, %v", len(rows), err)
		}
	}
	began := time.Now()
	fold()
	first := time.Since(began)
	for b.Loop() {
		fold()
	}
	b.ReportMetric(float64(first.Milliseconds()), "first-ms")
}
