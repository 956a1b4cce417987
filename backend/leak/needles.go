package leak

import "bytes"

// shortest is the least length of a needle. Of a text, every third pair of
// bytes is looked at: each needle has one of its first three pairs there.
const (
	shortest = 4
	stride   = shortest - 1
)

// needles finds many short texts in one pass.
type needles struct {
	pairs [1 << 16]uint8 // 1 + index into lists; 0: no needle has the pair
	lists [][]needle
}

type needle struct {
	text []byte
	at   int // where in text the pair is
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

// find calls hit for every needle that starts in b and lies in it whole.
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
