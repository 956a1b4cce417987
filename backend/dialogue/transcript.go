package dialogue

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"

	"ingot/backend/cause"
)

// Transcript records the output of a console and writes it to a log. One goroutine
// calls Follow; others may read lines. Only one goroutine at a time may receive from
// Changed.
//
// The log is written here and not by QEMU, which continues without an error when it
// cannot write its log: after a boot during which the disk was full for a while, QEMU's
// log would have an undetected gap.
type Transcript struct {
	log     io.Writer
	mu      sync.Mutex
	all     []byte // raw; a boot's log is some 100 KiB, bounded by maxTranscript
	lineEnd int    // where the unfinished last line starts
	lines   []string
	logErr  error // the first error of a write to the log
	changed chan struct{}
}

// maxTranscript bounds memory when a guest writes without end; the log is not limited.
const maxTranscript = 16 << 20

// NewTranscript returns an empty transcript that writes its text to log.
func NewTranscript(log io.Writer) *Transcript {
	return &Transcript{log: log, changed: make(chan struct{}, 1)}
}

// Follow reads the console until EOF or an error. After a failed write to the log it
// continues reading, so that the guest does not block on its console.
func (t *Transcript) Follow(console io.Reader) {
	buf := make([]byte, 8192)
	for {
		n, err := console.Read(buf)
		if n > 0 {
			t.add(buf[:n])
		}
		if err != nil {
			t.signal()
			return
		}
	}
}

func (t *Transcript) add(p []byte) {
	_, err := t.log.Write(p)
	t.mu.Lock()
	if err != nil && t.logErr == nil {
		t.logErr = fmt.Errorf("serial log: %w", err)
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

func (t *Transcript) signal() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// Changed receives a value after new output, and when the console has ended. Values are
// merged: one may stand for several pieces of output.
func (t *Transcript) Changed() <-chan struct{} { return t.changed }

// Since returns the cleaned lines from index n on, and the unfinished last line, where
// prompts appear.
func (t *Transcript) Since(n int) (lines []string, partial string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n < len(t.lines) {
		lines = append(lines, t.lines[n:]...)
	}
	return lines, clean(t.all[t.lineEnd:])
}

// Partial returns the unfinished last line, cleaned.
func (t *Transcript) Partial() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return clean(t.all[t.lineEnd:])
}

// clean returns a line without terminal escape sequences.
func clean(raw []byte) string { return strings.Join(cause.Lines(string(raw)), " ") }

// Failed returns the first error of a write to the log.
func (t *Transcript) Failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.logErr
}

// Text returns the output of the console so far, up to maxTranscript.
func (t *Transcript) Text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.all)
}

// Mark returns the current position in the raw text, in bytes, for TextSince.
func (t *Transcript) Mark() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all)
}

// TextSince returns the raw text after the mark.
func (t *Transcript) TextSince(mark int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.all[min(mark, len(t.all)):])
}
