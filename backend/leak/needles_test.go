package leak

import (
	"fmt"
	"math/rand"
	"os"
	"testing"
)

// The one pass finds what a search for each needle finds.
func TestNeedles(t *testing.T) {
	p := pack(t)
	rnd := rand.New(rand.NewSource(5))
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = "PRIVATE KEYghosuxp_$:6A-"[rnd.Intn(24)]
	}
	want := map[string]int{}
	for _, r := range p.Bytes {
		for _, n := range r.Needles {
			for range 7 {
				copy(b[rnd.Intn(len(b)-64):], n)
			}
		}
	}
	for _, r := range p.Bytes {
		for _, n := range r.Needles {
			for i := range len(b) - len(n) + 1 {
				if string(b[i:i+len(n)]) == n {
					want[fmt.Sprint(r.ID, i)]++
				}
			}
		}
	}
	p.index.find(b, func(at int, r *byteRule) { want[fmt.Sprint(r.ID, at)]-- })
	for k, n := range want {
		if n != 0 {
			t.Errorf("%s: %d too few", k, n)
		}
	}
	if len(want) < 100 {
		t.Errorf("only %d needles in the text", len(want))
	}
}

func BenchmarkSearch(b *testing.B) {
	p := pack(b)
	buf := make([]byte, chunkSize)
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < len(buf); i += len(data) {
		copy(buf[i:], data)
	}
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		p.index.find(buf, func(int, *byteRule) {})
	}
}
