package leak

import "bytes"

// shortest is the minimal length of a needle. The search looks at every third
// pair of bytes: one of a needle's first three pairs is among them.
const (
	shortest = 4
	stride   = shortest - 1
)

// needles searches for many short texts in one pass.
type needles struct {
	pairs [1 << 16]uint8 // 1 + index into lists; 0 if no needle has the pair
	lists [][]needle
}

type needle struct {
	text []byte
	at   int // offset of the pair in text
	rule *byteRule
}

func newNeedles(rules []*byteRule) *needles {
	n := &needles{}
	for _, r := range rules {
		for _, text := range r.Needles {
			for at := range stride {
				pair := int(text[at]) | int(text[at+1])<<8
				if n.pairs[pair] == 0 {
					n.lists = append(n.lists, nil)
					n.pairs[pair] = uint8(len(n.lists))
				}
				i := n.pairs[pair] - 1
				n.lists[i] = append(n.lists[i], needle{[]byte(text), at, r})
			}
		}
	}
	return n
}

// find calls hit for every needle that lies completely in b.
func (n *needles) find(b []byte, hit func(at int, r *byteRule)) {
	for i := 0; i+1 < len(b); i += stride {
		list := n.pairs[int(b[i])|int(b[i+1])<<8]
		if list == 0 {
			continue
		}
		for _, x := range n.lists[list-1] {
			if start := i - x.at; start >= 0 && bytes.HasPrefix(b[start:], x.text) {
				hit(start, x.rule)
			}
		}
	}
}
