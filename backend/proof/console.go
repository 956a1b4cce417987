package proof

import (
	"bytes"
	"strings"
	"sync"

	"ingot/backend/cause"
)

// transcript collects what the console says. One goroutine feeds it; others
// take lines and wait for news on Changed.
type transcript struct {
	mu      sync.Mutex
	all     []byte // raw, whole; a boot's log is some 100 KiB, bounded by maxTranscript
	lineEnd int    // where the unfinished last line starts
	lines   []string
	closed  bool
	changed chan struct{}
}

// maxTranscript bounds memory when a guest writes without end; the serial file
// that the machine itself keeps has everything.
const maxTranscript = 16 << 20

func newTranscript() *transcript { return &transcript{changed: make(chan struct{}, 1)} }

// follow feeds the transcript from the console until it ends.
func (t *transcript) follow(c Console) {
	buf := make([]byte, 8192)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			t.add(buf[:n])
		}
		if err != nil {
			t.mu.Lock()
			t.closed = true
			t.mu.Unlock()
			t.signal()
			return
		}
	}
}

func (t *transcript) add(p []byte) {
	t.mu.Lock()
	if len(t.all) < maxTranscript {
		t.all = append(t.all, p...)
	}
	for {
		i := bytes.IndexByte(t.all[t.lineEnd:], '\n')
		if i < 0 {
			break
		}
		t.lines = append(t.lines, cause.Lines(string(t.all[t.lineEnd:t.lineEnd+i]))...)
		t.lineEnd += i + 1
	}
	t.mu.Unlock()
	t.signal()
}

func (t *transcript) signal() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// since returns the cleaned lines from index n on, and the unfinished last
// line, which is where prompts stand.
func (t *transcript) since(n int) (lines []string, partial string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n < len(t.lines) {
		lines = append(lines, t.lines[n:]...)
	}
	tail := cause.Lines(string(t.all[t.lineEnd:]))
	return lines, strings.Join(tail, " ")
}

// text is everything said so far.
func (t *transcript) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.all)
}

// mark is a position in the raw text, for textSince.
func (t *transcript) mark() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all)
}

func (t *transcript) textSince(mark int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.all[min(mark, len(t.all)):])
}
