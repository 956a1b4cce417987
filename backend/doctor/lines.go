package doctor

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// lineLimit is the most bytes of a line that Lines keeps.
const lineLimit = 4 << 10

// Lines returns a writer for Mend that passes each line on when it is complete. A line
// that ends in a carriage return, as the steps of a progress bar do, counts too; empty
// lines do not. The writer is safe for concurrent use; note is called by one goroutine at
// a time.
func Lines(note func(string)) io.Writer { return &lines{note: note} }

type lines struct {
	mu   sync.Mutex
	note func(string)
	part []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexAny(p, "\r\n")
		if end < 0 {
			l.keep(p)
			return n, nil
		}
		l.keep(p[:end])
		if text := strings.TrimSpace(string(l.part)); text != "" {
			l.note(text)
		}
		l.part, p = l.part[:0], p[end+1:]
	}
	return n, nil
}

func (l *lines) keep(p []byte) {
	l.part = append(l.part, p[:min(len(p), lineLimit-len(l.part))]...)
}
