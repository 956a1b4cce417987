// Package log reads logs of Packer: what QEMU wrote, the command lines that it got, and
// what Packer wrote of its end.
package log

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ingot/backend/cause"
)

// Bounds of what is kept of a log.
const (
	maxLine     = 64 << 10 // bytes of a line that are read
	maxMessages = 200      // lines of QEMU that are kept of one launch
	maxLaunches = 200
	maxLog      = 1 << 30 // bytes that are read
)

// Log is what was kept of a log: of PACKER_LOG=1, or of the plain output.
type Log struct {
	Version  string // of Packer; "" is not known
	verbose  bool   // has lines of PACKER_LOG
	launches []*Launch
	cut      bool // more launches, or more bytes, than are kept
	refused  []refusal
	noDriver *message // QEMU's program was not found
	ended    []ending // other reasons for which Packer ended
	failed   []string // what Packer wrote of builds that failed
	builds   []*Artifact
}

// Launch is one start of QEMU.
type Launch struct {
	Argv   []string // program first; nil where the log has no such line
	stderr []message
	ui     []message // lines of Packer that report its end
	opened bool      // QEMU was started
	vnc    bool      // Packer reached the display
}

// message is a line of the log.
type message struct {
	text string
	line int
}

// refusal is an argument that Packer does not accept.
type refusal struct {
	message
	file string
	at   int // line in file
}

var (
	versionLine = regexp.MustCompile(`\[INFO\] Packer version: (\d+\.\d+\.\d+)`)
	executing   = regexp.MustCompile(`Executing (\S*qemu-(?:system-\S+|kvm)\S*): (\[\]string\{.*\})\s*$`)
	onLine      = regexp.MustCompile(`^\s*on (\S+) line (\d+)`)
)

// ReadFile reads a log.
func ReadFile(path string) (*Log, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &logError{err}
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, &logError{fmt.Errorf("%s is a folder: name a log file", path)}
	}
	return Read(f)
}

// logError is a log that cannot be read.
type logError struct{ error }

// ErrorClass sorts the error; see package cause.
func (*logError) ErrorClass() cause.Class { return cause.Input }

func (e *logError) Unwrap() error { return e.error }

// Read reads a log line by line. It keeps QEMU's messages, command lines and the
// lines of Packer about their end.
func Read(r io.Reader) (*Log, error) {
	l := &Log{}
	in := bufio.NewReaderSize(io.LimitReader(r, maxLog), 64<<10)
	for n := 1; ; n++ {
		line, err := boundedLine(in)
		if line != "" {
			l.read(message{strings.TrimRight(line, "\r\n"), n})
		}
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err != nil {
			return nil, &logError{err}
		}
	}
}

// boundedLine returns the next line, cut to maxLine bytes.
func boundedLine(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		part, err := in.ReadSlice('\n')
		if room := maxLine - b.Len(); room > 0 {
			b.Write(part[:min(room, len(part))])
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return b.String(), err
		}
	}
}

// failures are the ways in which Packer reports the end of a start.
var failures = []string{"Qemu failed to start", "Error launching VM", "Error connecting to VNC", "Timeout waiting for SSH", "Timeout waiting for WinRM"}

// read takes one line over.
func (l *Log) read(m message) {
	text := m.text
	switch {
	case strings.Contains(text, "Packer version:"):
		if v := versionLine.FindStringSubmatch(text); v != nil && l.Version == "" {
			l.Version, l.verbose = v[1], true
		}
	case strings.Contains(text, "Qemu stderr:"):
		l.verbose = true
		if c := l.current(); c != nil && len(c.stderr) < maxMessages {
			c.stderr = append(c.stderr, m)
		}
	case strings.Contains(text, "Executing ") && strings.Contains(text, "[]string{"):
		l.execute(text)
	case strings.Contains(text, "Started Qemu. Pid"):
		l.verbose = true
		if c := l.current(); c == nil || c.opened {
			c = l.open()
			c.opened = true
		} else {
			c.opened = true
		}
	case strings.Contains(text, "Connected to VNC desktop"):
		if c := l.current(); c != nil {
			c.vnc = true
		}
	case strings.Contains(text, machineReadable):
		l.report(text)
	case strings.Contains(text, "Failed creating Qemu driver"):
		if l.noDriver == nil {
			l.noDriver = &m
		}
	case strings.Contains(text, "Unsupported argument"):
		if len(l.refused) < maxLaunches {
			l.refused = append(l.refused, refusal{message: m})
		}
	case len(l.refused) > 0 && l.refused[len(l.refused)-1].file == "" && onLine.MatchString(plain(text)):
		f := onLine.FindStringSubmatch(plain(text))
		last := &l.refused[len(l.refused)-1]
		last.file = f[1]
		last.at, _ = strconv.Atoi(f[2])
	default:
		l.end(m)
	}
}

// plain returns a line without colours and the prefixes of loggers.
func plain(line string) string { return cause.CleanLine(line) }

// end takes over a line that reports how a start ended. Packer writes the same reason
// several times; a launch has it once.
func (l *Log) end(m message) {
	at := slices.IndexFunc(failures, func(f string) bool { return strings.Contains(m.text, f) })
	if at < 0 {
		l.endBefore(m)
		return
	}
	c := l.current()
	if c == nil {
		c = l.open()
	}
	same := func(u message) bool { return strings.Contains(u.text, failures[at]) }
	if at == 1 && len(c.ui) > 0 || slices.ContainsFunc(c.ui, same) {
		return
	}
	c.ui = append(c.ui, m)
}

// execute begins a launch with its command line.
func (l *Log) execute(text string) {
	m := executing.FindStringSubmatch(text)
	if m == nil {
		return
	}
	l.verbose = true
	args, ok := goStrings(m[2])
	if c := l.open(); ok {
		c.Argv = append([]string{m[1]}, args...)
	}
}

func (l *Log) current() *Launch {
	if len(l.launches) == 0 {
		return nil
	}
	return l.launches[len(l.launches)-1]
}

// open begins a launch. After too many, the last one is used again.
func (l *Log) open() *Launch {
	if len(l.launches) >= maxLaunches {
		l.cut = true
		return l.launches[len(l.launches)-1]
	}
	l.launches = append(l.launches, &Launch{})
	return l.current()
}

// goStrings reads a list of texts as Go writes it: []string{"a", "b"}.
func goStrings(s string) (out []string, ok bool) {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "[]string{"), "}")
	for s != "" {
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return nil, false
		}
		text, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, false
		}
		out = append(out, text)
		s = strings.TrimPrefix(s[len(quoted):], ", ")
	}
	return out, true
}

// Unmatched returns the launches with a command line, or nil.
func (l *Log) Unmatched() []*Launch {
	if l == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(l.launches), func(c *Launch) bool { return c.Argv == nil })
}

// Take removes from launches the last one of a machine and returns its command line: the
// one with the machine's name, or the only one of a template with one machine. It returns
// nil if there is none.
func (l *Log) Take(name string, machines int, launches *[]*Launch) []string {
	for i, c := range slices.Backward(*launches) {
		at := slices.Index(c.Argv, "-name")
		if machines > 1 && (at < 0 || at+1 >= len(c.Argv) || c.Argv[at+1] != name) {
			continue
		}
		*launches = slices.Delete(*launches, i, i+1)
		return c.Argv
	}
	return nil
}

// Causes returns what the log shows: QEMU's messages by the rule pack, else Packer's.
func (l *Log) Causes() (out []Cause) {
	pack, err := cause.Shipped()
	if err != nil {
		return nil
	}
	if l.noDriver != nil {
		for _, f := range pack.Explain(l.noDriver.text).Findings {
			out = append(out, newCause(pack, f.ID, f.Line, *l.noDriver, true))
		}
	}
	for _, r := range l.refused {
		f := newCause(pack, "packer.argument-unknown", plain(r.text), r.message, true)
		f.File, f.FileLine = r.file, r.at
		out = append(out, f)
	}
	for _, e := range l.ended {
		out = append(out, newCause(pack, e.id, plain(e.text), e.message, true))
	}
	for _, c := range l.launches {
		for _, f := range c.causes(pack, l.verbose) {
			if !slices.ContainsFunc(out, func(g Cause) bool { return g.ID == f.ID }) {
				out = append(out, f)
			}
		}
	}
	return out
}

// causes returns those of one launch.
func (c *Launch) causes(pack *cause.Pack, verbose bool) (out []Cause) {
	var lines []string
	for _, m := range c.stderr {
		lines = append(lines, m.text)
	}
	if len(lines) > 0 && (len(c.ui) > 0 || !c.vnc) {
		for _, f := range pack.Explain(strings.Join(lines, "\n")).Findings {
			at := slices.IndexFunc(c.stderr, func(m message) bool { return strings.Contains(m.text, f.Line) })
			out = append(out, newCause(pack, f.ID, f.Line, c.stderr[max(0, at)], true))
		}
	}
	if len(out) > 0 || len(c.ui) == 0 {
		return out
	}
	ui := c.ui[0]
	switch {
	case strings.Contains(ui.text, failures[2]) && len(lines) == 0 && verbose:
		out = append(out, newCause(pack, "packer.vnc-late", plain(ui.text), ui, false))
	case strings.Contains(ui.text, failures[0]), strings.Contains(ui.text, failures[1]), strings.Contains(ui.text, failures[2]):
		f := newCause(pack, "qemu.failed", plain(ui.text), ui, true)
		f.Why, f.Fix = "QEMU ended, and its own message is not in the log", "run it again with PACKER_LOG=1 and give that log: `PACKER_LOG=1 packer build … 2> packer.log`"
		if len(lines) > 0 {
			f.Why, f.Fix = "QEMU ended with a message that no rule explains: "+plain(lines[len(lines)-1]), "read the message; `ingot explain --list` has all causes that are known"
		}
		out = append(out, f)
	}
	return out
}

// Cause is a reason that a log shows.
type Cause struct {
	ID       string
	Written  string // the line of the log
	Why, Fix string
	Sure     bool   // QEMU or Packer wrote it; false where it is only likely
	Line     int    // of the log
	File     string // of the template, where the log names it, and the line there
	FileLine int
}

func newCause(pack *cause.Pack, id, written string, m message, sure bool) Cause {
	d, _ := pack.Describe(id)
	return Cause{ID: id, Written: written, Why: d.Means, Fix: d.Fix, Sure: sure, Line: m.line}
}

// Summary tells how far the machines of the log came.
func (l *Log) Summary() string {
	failed, silent := 0, 0
	for _, c := range l.launches {
		switch {
		case len(c.ui) == 0:
		case strings.Contains(c.ui[0].text, "Timeout waiting for"):
			silent++
		default:
			failed++
		}
	}
	s := fmt.Sprintf("the log has %d starts of QEMU: %d failed, %d ran until Packer stopped waiting for a login", len(l.launches), failed, silent)
	if !l.verbose {
		s += "; it was written without PACKER_LOG=1, and QEMU's own messages are not in it"
	}
	if l.cut {
		s += fmt.Sprintf("; only the first %d were read", maxLaunches)
	}
	return s
}
