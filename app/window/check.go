package window

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"ingot/app/feed"
	"ingot/backend/status"
)

// checkPage boots an image of any origin, or finds the cause in a log: files
// that were dropped on the window.
type checkPage struct {
	w     *Window
	lines *fyne.Container
	all   fyne.CanvasObject
	stop  context.CancelFunc
	ctx   context.Context
}

func newCheckPage(w *Window, _ Route) view {
	v := &checkPage{w: w, lines: container.NewVBox()}
	v.ctx, v.stop = context.WithCancel(w.ctx)
	hint := message("Check an image", "Drop a qcow2 or raw image here, made by anyone: Ingot boots it and records the result. Drop a serial log or QEMU's messages: Ingot names the cause and the fix.")
	v.all = container.NewBorder(hint, nil, nil, nil, container.NewVScroll(v.lines))
	return v
}

func (v *checkPage) object() fyne.CanvasObject { return v.all }
func (v *checkPage) update(feed.State)         {}
func (v *checkPage) leave()                    { v.stop() }

func (v *checkPage) add(o fyne.CanvasObject) {
	v.lines.Add(o)
	v.lines.Refresh()
}

func (v *checkPage) line(text string) {
	l := widget.NewLabel(clean(text))
	l.Wrapping = fyne.TextWrapWord
	l.Selectable = true
	v.add(l)
}

// checking shows the page.
func (w *Window) checking() *checkPage {
	v, ok := w.view.(*checkPage)
	if !ok {
		w.Go(Route{Page: pageCheck})
		v = w.view.(*checkPage)
	}
	return v
}

// Check checks a file, as if it was dropped on the window.
func (w *Window) Check(file string) { w.checking().take(file) }

// dropped receives files from the desktop.
func (w *Window) dropped(uris []fyne.URI) {
	v := w.checking()
	for _, u := range uris {
		if u.Scheme() != "file" {
			v.line(u.String() + " is not a file on this computer")
			continue
		}
		v.take(u.Path())
	}
}

// logLimit is the number of bytes of a log that are read; boots write far less.
const logLimit = 64 << 20

// take explains a text file, and boots any other file.
func (v *checkPage) take(file string) {
	text, isText, err := readText(file)
	switch {
	case err != nil:
		v.line(err.Error())
	case isText:
		e, err := v.w.backend.Explain(text)
		if err != nil {
			v.line(err.Error())
			return
		}
		v.line(explained(filepath.Base(file), e))
	default:
		v.prove(file)
	}
}

func readText(file string) (text string, isText bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	switch {
	case errors.Is(err, io.EOF):
		return "", false, fmt.Errorf("%s is empty", file)
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return "", false, err
	}
	if bytes.IndexByte(head[:n], 0) >= 0 || bytes.HasPrefix(head, []byte("QFI\xfb")) { // qcow2's magic
		return "", false, nil
	}
	rest, err := io.ReadAll(io.LimitReader(f, logLimit))
	return string(head[:n]) + string(rest), true, err
}

func explained(name string, e status.Explanation) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s", name, e.ID)
	if e.Fix != "" {
		fmt.Fprintf(&s, "\nline:  %s\nmeans: %s\nnext:  %s", clean(e.Line), e.Means, e.Fix)
	}
	return s.String()
}

func (v *checkPage) prove(file string) {
	name := filepath.Base(file)
	v.line(name + ": booting; this takes minutes without hardware virtualisation")
	busy := widget.NewProgressBarInfinite()
	v.add(busy)
	var id string
	v.w.do(func(context.Context) (err error) {
		id, err = v.w.backend.Prove(v.ctx, file, func(string) {})
		return err
	}, func(err error) {
		if v.ctx.Err() != nil {
			return
		}
		busy.Stop()
		v.lines.Remove(busy)
		switch {
		case err != nil:
			v.line(name + ": " + err.Error())
		default:
			v.line(name + ": it boots")
		}
		if id != "" {
			v.add(container.NewHBox(widget.NewButton("Evidence", func() { v.w.Go(Route{pageEvidence, []string{id}}) })))
		}
	})
}
