package window

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/backend/api"
	"ingot/backend/doctor"
)

// computer is the checklist of Settings: what building and booting needs on this computer,
// and the button that installs what is missing.
type computer struct {
	w       *Window
	resized func() // after the card's height has changed
	reveal  func() // shows the card's beginning
	card    fyne.CanvasObject
	work    *fyne.Container // what is being installed, or how that ended
	checks  *fyne.Container
	link    *fyne.Container
	line    *widget.Label               // the last line of output
	bar     *widget.ProgressBarInfinite // nil unless work shows the installation that runs
	title   *widget.Label
	cancel  *widget.Button
	read    *reading[doctor.Report]
}

func newComputer(w *Window, resized, reveal func()) *computer {
	c := &computer{w: w, reveal: reveal, work: container.NewVBox(), checks: container.NewVBox(), link: container.NewVBox(), line: widget.NewLabel(""), title: widget.NewLabel("")}
	c.line.Truncation = fyne.TextTruncateEllipsis
	c.title.TextStyle.Bold = true
	c.cancel = widget.NewButtonWithIcon("Cancel", theme.CancelIcon(), w.mending.stop)
	content := container.NewVBox(c.work, c.checks, c.link)
	c.card = section("This computer", "what building and booting needs here", content)
	c.resized = func() {
		content.Refresh()
		resized()
	}
	c.read = &reading[doctor.Report]{w: w, read: func(ctx context.Context) (doctor.Report, error) { return w.backend.Doctor(ctx) }, show: c.report}
	w.mending.changed = c.working
	c.linked()
	c.working()
	if !w.mending.running {
		c.look()
	}
	return c
}

// leave ends the card; what is being installed goes on.
func (c *computer) leave() {
	c.read.leave()
	c.stopBar()
	m := &c.w.mending
	m.changed = nil
	m.ended = m.running // how it ended was seen
}

// look examines the computer again.
func (c *computer) look() {
	if c.w.mending.running {
		return // it is examined at the end
	}
	c.checks.Objects = []fyne.CanvasObject{widget.NewLabel("Looking at what is installed…")}
	c.checks.Refresh()
	c.read.start()
}

// working shows the installation that runs, or the end of the last one.
func (c *computer) working() {
	m := &c.w.mending
	if m.running {
		c.progress(m)
		return
	}
	if c.stopBar() { // it has ended: what is there now is another list
		c.look()
	}
	c.work.Objects = nil
	if m.ended {
		c.work.Add(c.outcome(m))
	}
	c.work.Refresh()
	c.resized()
}

func (c *computer) progress(m *mending) {
	c.line.SetText(clean(m.line()))
	if m.cancelled {
		c.title.SetText("Cancelling: what runs is brought to an end…")
		c.cancel.Disable()
	} else {
		c.title.SetText("Installing what is missing…")
		c.cancel.Enable()
	}
	if c.bar != nil {
		return
	}
	c.bar = widget.NewProgressBarInfinite()
	c.checks.Objects = nil
	c.checks.Refresh()
	c.work.Objects = []fyne.CanvasObject{container.NewBorder(nil, nil, nil, c.cancel, c.title), c.bar, c.line}
	c.work.Refresh()
	c.resized()
	c.reveal()
}

// stopBar ends the bar's animation, and reports whether there was one.
func (c *computer) stopBar() bool {
	if c.bar == nil {
		return false
	}
	c.bar.Stop()
	c.bar = nil
	return true
}

// outcome tells how an installation ended, and what to do if it failed.
func (c *computer) outcome(m *mending) fyne.CanvasObject {
	var password *doctor.PasswordError
	switch {
	case errors.As(m.err, &password):
		return c.inTerminal()
	case m.err != nil:
		text := m.err.Error()
		if id, fix := api.Advice(m.err); id != "" {
			text += "\nWhat to do: " + fix
		}
		return message("The installation failed", text)
	}
	return widget.NewLabel(m.outcome())
}

// stayOpen runs ingot doctor --install in a terminal window, and keeps that open.
const stayOpen = `"$0" doctor --install; printf '\nPress Return to close this window. '; read -r answer`

// inTerminal offers the command for a terminal, where sudo can ask for the password.
func (c *computer) inTerminal() fyne.CanvasObject {
	program := c.w.backend.Settings().Program
	command := quoted(program) + " doctor --install"
	open := widget.NewButtonWithIcon("Open in Terminal", theme.ComputerIcon(), func() {
		c.w.do(func(context.Context) error {
			return c.w.desktop.OpenTerminal([]string{"sh", "-c", stayOpen, program}, os.Environ())
		}, func(err error) { c.w.showStatus(err, "when it is done there, press Look again") })
	})
	copied := widget.NewButtonWithIcon("Copy", theme.ContentCopyIcon(), func() { c.w.copy(command) })
	return container.NewVBox(message("Your password is needed", "Installing needs root, and sudo asks for a password, which cannot be typed here. Run this command in a terminal, where sudo asks for it, then press Look again."),
		container.NewBorder(nil, nil, nil, container.NewHBox(copied, open), code(command)))
}

// quoted returns a path as a word for a shell.
func quoted(path string) string {
	if strings.ContainsAny(path, " '\"\\$&;()<>*?`|!#~") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

// report shows the checks: what is missing with the commands that install it, then what
// is there.
func (c *computer) report(r doctor.Report, err error) {
	if c.w.mending.running {
		return // it is out of date
	}
	c.checks.Objects = nil
	defer c.resized()
	defer c.checks.Refresh()
	again := widget.NewButtonWithIcon("Look again", theme.ViewRefreshIcon(), c.look)
	if err != nil {
		c.checks.Add(message("The check failed", err.Error()))
		c.checks.Add(container.NewHBox(again))
		return
	}
	c.w.examined(r)
	missing := r.Missing()
	for _, check := range missing {
		c.checks.Add(checkRow(check))
	}
	title := "These commands install it, as root:"
	if len(r.Install) > 0 && strings.HasPrefix(r.Install[0], "brew ") {
		title = "This command installs it:"
	}
	c.commands(title, r.Install)
	c.commands("These commands install it in the guest "+clean(r.Guest)+", as root there:", r.InGuest)
	bar := container.NewHBox()
	if r.CanMend() {
		install := widget.NewButtonWithIcon("Install what is missing", theme.DownloadIcon(), c.w.mending.start)
		install.Importance = widget.HighImportance
		bar.Add(install)
	}
	bar.Add(again)
	c.checks.Add(bar)
	for _, check := range r.Checks {
		if check.OK {
			c.checks.Add(checkRow(check))
		}
	}
}

// commands shows commands with a button that copies all of them.
func (c *computer) commands(title string, commands []string) {
	if len(commands) == 0 {
		return
	}
	all := strings.Join(commands, "\n")
	c.checks.Add(widget.NewLabel(title))
	c.checks.Add(container.NewBorder(nil, nil, nil, container.NewVBox(widget.NewButtonWithIcon("Copy", theme.ContentCopyIcon(), func() { c.w.copy(all) })), code(all)))
}

// linked shows whether a shell finds `ingot`, and offers the link.
func (c *computer) linked() {
	c.link.Objects = nil
	defer c.link.Refresh()
	l, ok := c.w.backend.Link()
	if !ok {
		return // this program is no app's
	}
	state := api.Unknown // nothing needs it
	if l.Done {
		state = api.Passed
	}
	c.link.Add(stateRow(state, "ingot in a terminal", linkText(l)))
	if !l.Done && l.Problem == "" {
		c.link.Add(container.NewHBox(widget.NewButton("Link ingot into "+tilde(filepath.Dir(l.File)), func() {
			c.w.do(func(context.Context) error { return l.Make() }, func(err error) {
				c.w.showStatus(err, "made the link "+l.File)
				c.linked()
				c.resized()
			})
		})))
	}
}

// linkText describes a link, and what is left to do.
func linkText(l doctor.Link) string {
	text := fmt.Sprintf("%s can lead to the program of this app", tilde(l.File))
	switch {
	case l.Problem != "":
		return l.Problem
	case l.Done && l.File == l.Program:
		return tilde(l.File) + " is in PATH"
	case l.Done:
		text = tilde(l.File) + " leads to the program of this app"
	}
	if l.InPath {
		return text + ", and its folder is in PATH"
	}
	return text + `; its folder is not in the PATH that Ingot sees: if a new terminal does not find ingot, add this line to your shell's profile: export PATH="` + strings.Replace(tilde(filepath.Dir(l.File)), "~", "$HOME", 1) + `:$PATH"`
}

// tilde shortens the path of a file in the user's home folder.
func tilde(path string) string {
	user, err := os.UserHomeDir()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(user, path); err == nil && filepath.IsLocal(rel) {
		return filepath.Join("~", rel)
	}
	return path
}

// checkRow shows a check: whether it passed, its name, what it is for, and what to do.
func checkRow(c doctor.Check) fyne.CanvasObject {
	state, text := api.Passed, c.Why
	if !c.OK {
		state = api.Failed
		if c.Install != "" && c.Install != c.Why { // a command, or words
			text += "\n" + c.Install
		}
	}
	return stateRow(state, c.Name, text)
}

func stateRow(state api.State, name, text string) fyne.CanvasObject {
	n, l := widget.NewLabel(clean(name)), widget.NewLabel(cleanLines(text))
	n.TextStyle.Bold = true
	l.Wrapping = fyne.TextWrapWord
	return container.NewBorder(nil, nil, container.NewVBox(container.NewHBox(widget.NewIcon(icon(state)), n)), nil, l)
}
