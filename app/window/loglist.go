package window

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app/screen"
	"ingot/backend/api"
)

// logList shows a file's lines, and new lines while it is followed: find, jump to errors,
// follow, copy. It stores each line as shown, cut to lineLimit.
type logList struct {
	w    *Window
	file string

	mu     sync.Mutex
	lines  []string       // appended by the reader, read by the list
	phases []api.Phase    // phases of a boot whose lines have not been read yet
	marks  map[int]string // names of phases by line number

	list    *widget.List
	find    *widget.Entry
	follow  *widget.Check
	count   *widget.Label
	copy    *widget.Button
	found   int // the line that find, or a jump to an error, is at; -1 is none
	chosen  int // the selected line; -1 is none
	bar     *fyne.Container
	all     *fyne.Container
	stop    context.CancelFunc
	stopped chan struct{}
}

// newLogList reads file until leave; with live it continues with new lines.
// Lines at which a boot reached one of the phases are marked.
func newLogList(w *Window, file string, live bool, phases ...api.Phase) *logList {
	l := &logList{w: w, file: file, phases: phases, marks: map[int]string{}, count: widget.NewLabel(""), found: -1, chosen: -1, stopped: make(chan struct{})}
	l.list = widget.NewList(l.length, newLogLine, l.fill)
	l.list.HideSeparators = true
	l.list.OnSelected = func(i widget.ListItemID) { l.choose(i) }
	l.find = widget.NewEntry()
	l.find.SetPlaceHolder("Find in the log")
	l.find.OnSubmitted = func(string) { l.next() }
	l.follow = widget.NewCheck("Follow", nil)
	l.follow.Checked = live
	l.copy = widget.NewButtonWithIcon("", theme.ContentCopyIcon(), l.copyText)
	l.bar = container.NewBorder(nil, nil, nil, container.NewHBox(
		widget.NewButtonWithIcon("", theme.MoveUpIcon(), l.previous), widget.NewButtonWithIcon("", theme.MoveDownIcon(), l.next),
		widget.NewButton("Next error", l.nextError), l.follow, l.copy,
		widget.NewButtonWithIcon("", theme.FileTextIcon(), func() { w.showStatus(w.desktop.Open(file), "") }), l.count), l.find)
	l.all = container.NewBorder(l.bar, nil, nil, nil, l.list)
	var ctx context.Context
	ctx, l.stop = context.WithCancel(w.ctx)
	w.work.Go(func() {
		defer close(l.stopped)
		l.read(ctx, live)
	})
	return l
}

func (l *logList) length() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

func (l *logList) line(i int) string {
	s, _ := l.marked(i)
	return s
}

// marked returns a line and the phase that starts with it, or "".
func (l *logList) marked(i int) (line, phase string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i >= len(l.lines) {
		return "", ""
	}
	return l.lines[i], l.marks[i]
}

func (l *logList) fill(i widget.ListItemID, o fyne.CanvasObject) {
	s, phase := l.marked(i)
	colour := colourOf(s)
	if phase != "" {
		s, colour = "▶ "+phase+"  "+s, theme.ColorNameSuccess
	}
	setLogLine(o, s, colour)
}

// troubleWord and warningWord match words of a message. A part of a file's or
// symbol's name is none: a compiler prints "CC fdt_strerror.o" in a good build.
var (
	troubleWord = regexp.MustCompile(`(?i)(^|[^\w./-])(panic|errors?|failed|fatal)([^\w./-]|\.?$|\. )`)
	warningWord = regexp.MustCompile(`(?i)(^|[^\w./-])(warn|warnings?)([^\w./-]|\.?$|\. )`)
)

// colourOf returns the colour of a log line.
func colourOf(line string) fyne.ThemeColorName {
	switch {
	case troubleWord.MatchString(line):
		return theme.ColorNameError
	case warningWord.MatchString(line):
		return theme.ColorNameWarning
	}
	return theme.ColorNameForeground
}

// setCount shows a text at the end of the bar.
func (l *logList) setCount(text string) {
	was := l.count.MinSize()
	l.count.SetText(text)
	if l.count.MinSize() != was {
		l.bar.Refresh()
	}
}

// next selects the next line that contains the text of the find field.
func (l *logList) next() { l.seek(1) }

// previous selects the one before.
func (l *logList) previous() { l.seek(-1) }

// seek selects the next match in a direction, 1 or -1, and tells which of how many it is.
func (l *logList) seek(direction int) {
	want := strings.ToLower(l.find.Text)
	if want == "" {
		return
	}
	n := l.length()
	var matches []int
	for i := range n {
		if strings.Contains(strings.ToLower(l.line(i)), want) {
			matches = append(matches, i)
		}
	}
	if len(matches) == 0 {
		l.setCount("not found")
		return
	}
	at := 0
	if direction > 0 {
		if at = slices.IndexFunc(matches, func(i int) bool { return i > l.found }); at < 0 {
			at = 0 // from the start again
		}
	} else {
		at = len(matches) - 1
		for at > 0 && matches[at] >= l.found {
			at--
		}
		if matches[at] >= l.found {
			at = len(matches) - 1 // from the end again
		}
	}
	l.show(matches[at], fmt.Sprintf("%d of %d · line %d of %d", at+1, len(matches), matches[at]+1, n))
}

// nextError selects the next line that is shown as an error.
func (l *logList) nextError() {
	n := l.length()
	for step := 1; step <= n; step++ {
		if i := (l.found + step) % n; colourOf(l.line(i)) == theme.ColorNameError {
			l.show(i, fmt.Sprintf("line %d of %d", i+1, n))
			return
		}
	}
	l.setCount("no error")
}

// show scrolls to a line and selects it; the log is no longer followed.
func (l *logList) show(i int, count string) {
	l.found = i
	l.follow.SetChecked(false)
	l.list.ScrollTo(i)
	l.list.Select(i)
	l.setCount(count)
}

// choose remembers the selected line: Copy copies it.
func (l *logList) choose(i int) {
	l.chosen, l.found = i, i
	l.copy.SetText("Copy line")
	l.bar.Refresh()
}

// copyText copies the selected line, or all lines.
func (l *logList) copyText() {
	text, what := "", "the line was copied"
	if l.chosen >= 0 {
		text = l.line(l.chosen)
	} else {
		l.mu.Lock()
		text, what = strings.Join(l.lines, "\n"), "the log was copied"
		l.mu.Unlock()
	}
	fyne.CurrentApp().Clipboard().SetContent(text)
	l.w.showStatus(nil, what)
}

// drawPause is the minimal time between two updates of the list; readPause the
// time between two reads of a followed file.
const (
	drawPause = 60 * time.Millisecond
	readPause = 150 * time.Millisecond
)

// read appends the file's lines and, if live, new ones until ctx is done.
func (l *logList) read(ctx context.Context, live bool) {
	f, err := os.Open(l.file)
	if err != nil {
		l.add([]string{clean(err.Error())})
		l.draw(ctx)
		return
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 256<<10)
	var part []byte // of a line that is not complete yet
	drawn := time.Now()
	var fresh []string
	first := true
	flush := func() {
		if len(fresh) == 0 && !first {
			return
		}
		first = false
		l.add(fresh)
		fresh = nil
		l.draw(ctx)
		drawn = time.Now()
	}
	for ctx.Err() == nil {
		piece, err := r.ReadSlice('\n')
		if len(part) <= 2*screen.LineLimit { // only the start of a long line is stored
			part = append(part, piece...)
		}
		switch {
		case err == nil:
			fresh = append(fresh, clean(strings.TrimRight(string(part), "\r\n")))
			part = part[:0]
			if time.Since(drawn) > drawPause {
				flush()
			}
			continue
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case !errors.Is(err, io.EOF):
			fresh = append(fresh, clean(err.Error()))
			live = false
		}
		if !live && len(part) > 0 {
			fresh = append(fresh, clean(string(part)))
		}
		flush()
		if !live {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(readPause):
		}
	}
}

func (l *logList) add(lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range lines {
		if len(l.phases) > 0 && strings.Contains(s, clean(l.phases[0].Line)) {
			l.marks[len(l.lines)] = l.phases[0].Name
			l.phases = l.phases[1:]
		}
		l.lines = append(l.lines, s)
	}
}

// draw shows the new lines.
func (l *logList) draw(ctx context.Context) {
	l.w.now(func() {
		if ctx.Err() != nil {
			return
		}
		n, at := l.length(), l.list.GetScrollOffset()
		if l.follow.Checked && n > 0 {
			l.list.ScrollToBottom()
		}
		if l.list.GetScrollOffset() == at { // scrolling has drawn the lines; Refresh would create new rows
			l.list.Refresh()
		}
		l.setCount(fmt.Sprintf("%d lines", n))
	})
}

func (l *logList) leave() { l.stop() }
