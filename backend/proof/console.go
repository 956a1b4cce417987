package proof

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"

	"ingot/backend/cause"
)

// transcript collects what the console says, and writes it down. One goroutine
// feeds it; others take lines and wait for news on changed.
//
// The serial log of a proof is written here and not by QEMU, which goes on
// without a word when its log cannot be written: a boot on a disk that was full
// for a while would pass with a log that has a hole.
type transcript struct {
	log     io.Writer
	mu      sync.Mutex
	all     []byte // raw, whole; a boot's log is some 100 KiB, bounded by maxTranscript
	lineEnd int    // where the unfinished last line starts
	lines   []string
	unkept  error // why the log could not be written
	changed chan struct{}
}

// maxTranscript bounds memory when a guest writes without end; the log has
// everything.
const maxTranscript = 16 << 20

func newTranscript(log io.Writer) *transcript {
	return &transcript{log: log, changed: make(chan struct{}, 1)}
}

// follow feeds the transcript from the console until it ends. After a failed
// write to the log it reads on, so that the guest is not held up.
func (t *transcript) follow(c Console) {
	buf := make([]byte, 8192)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			t.add(buf[:n])
		}
		if err != nil {
			t.signal()
			return
		}
	}
}

func (t *transcript) add(p []byte) {
	_, err := t.log.Write(p)
	t.mu.Lock()
	if err != nil && t.unkept == nil {
		t.unkept = fmt.Errorf("serial log: %w", err)
	}
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

// failed is the first failure to write the log.
func (t *transcript) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unkept
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
