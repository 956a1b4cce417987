// Package dialogue controls a system over its serial console: it records the output,
// types lines, waits for prompts, logs in, and runs commands in a shell. It does not
// depend on the purpose (proof, installer, VM).
//
// A console is slow and shared: kernel messages may interrupt any line, and a prompt
// can be lost between them. Patterns are matched against lines without terminal escape
// sequences, and against the unfinished last line, where a prompt appears.
package dialogue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Errors of a wait without a result.
var (
	ErrLate  = errors.New("the guest did not answer in time")
	ErrEnded = errors.New("the machine ended")
)

// Dialogue is a session with one system over its console. Follow runs in its own
// goroutine; the other methods must be called from one goroutine.
type Dialogue struct {
	*Transcript
	console io.ReadWriter
	ended   <-chan struct{}
	matched int // position in the raw text up to which Expect has matched
}

// New returns a dialogue over the console. All output is also written to log. ended
// must be closed when the machine has exited; it may be nil.
func New(console io.ReadWriter, ended <-chan struct{}, log io.Writer) *Dialogue {
	return &Dialogue{Transcript: NewTranscript(log), console: console, ended: ended}
}

// Follow reads the console until EOF or an error.
func (d *Dialogue) Follow() { d.Transcript.Follow(d.console) }

// Send types a line. Write errors are ignored: a console that accepts no input belongs
// to a machine that has exited, which ended reports.
func (d *Dialogue) Send(line string) { _, _ = d.console.Write([]byte(line + "\n")) }

// Expect waits until a line matches the pattern, and returns that line. It searches the
// output after the line that the previous Expect returned, including output that
// arrived before this call. When the unfinished last line matches, the text of it that
// has arrived counts as searched. The error is ErrLate after limit, ErrEnded, or the
// context's.
func (d *Dialogue) Expect(ctx context.Context, pattern *regexp.Regexp, limit time.Duration) (string, error) {
	var found string
	at := d.matched
	err := d.wait(ctx, limit, func() bool {
		for text := d.TextSince(at); text != ""; {
			raw, rest, whole := strings.Cut(text, "\n")
			if l := clean([]byte(raw)); l != "" && pattern.MatchString(l) {
				found, d.matched = l, at+len(text)-len(rest)
				return true
			}
			if !whole {
				break
			}
			at, text = at+len(text)-len(rest), rest
		}
		return false
	})
	return found, err
}

// wait calls ok after each change of the transcript until it returns true.
func (d *Dialogue) wait(ctx context.Context, limit time.Duration, ok func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, ErrLate)
	defer cancel()
	for {
		if ok() {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-d.ended:
			if ok() {
				return nil
			}
			return ErrEnded
		case <-d.Changed():
		}
	}
}

// Run runs a command in the POSIX shell at the console and returns its output and exit
// status. The end marker is quoted so that the echoed command line does not match it.
// Errors are ErrLate after limit, ErrEnded, or the context's, each with the output
// until then.
func (d *Dialogue) Run(ctx context.Context, cmd string, limit time.Duration) (out string, code int, err error) {
	id := strconv.FormatInt(time.Now().UnixNano()%1e9, 10)
	sentinel := regexp.MustCompile(`__S_` + id + `_(\d+)_E__`)
	mark := d.Mark()
	d.Send(fmt.Sprintf(`%s; echo "__S_%s_""$?""_E__"`, cmd, id))
	var text string
	var end []int
	if err = d.wait(ctx, limit, func() bool {
		text = d.TextSince(mark)
		end = sentinel.FindStringSubmatchIndex(text)
		return end != nil
	}); err != nil {
		return text, -1, err
	}
	code, err = strconv.Atoi(text[end[2]:end[3]])
	return strings.ReplaceAll(text[:end[0]], "\r", ""), code, err
}
