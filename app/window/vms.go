package window

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/dialog"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app"
	"ingot/app/feed"
	"ingot/app/look"
	"ingot/backend/api"
	"ingot/backend/vm"
)

// vms shows the user's Lima instances as cards: an image of one, start, stop, shell, build
// in one.
type vms struct {
	w       *Window
	want    string
	image   bool // the sheet of an image of the wanted VM is to be shown
	head    *widget.Label
	cards   *fyne.Container
	have    []vm.Instance
	targets []string
	problem string
	drawn   bool
	all     fyne.CanvasObject
}

func newVMs(w *Window, r Route) view {
	v := &vms{w: w, want: r.arg(0), image: r.arg(1) == app.ImageSheet, cards: container.NewVBox(), head: text("", theme.SizeNameCaptionText, false)}
	v.head.Importance = widget.LowImportance
	name := text("VMs", theme.SizeNameHeadingText, true)
	name.Truncation = fyne.TextTruncateOff
	bar := container.NewBorder(nil, nil, name, nil, middle(v.head))
	if v.want != "" {
		bar = container.NewBorder(nil, nil, name, container.NewCenter(widget.NewButton("All VMs", func() { w.Go(Route{Page: pageVMs}) })), middle(v.head))
	}
	v.all = container.NewBorder(bar, nil, nil, nil, container.NewVScroll(container.NewPadded(v.cards)))
	return v
}

func (v *vms) object() fyne.CanvasObject { return v.all }
func (v *vms) leave()                    {}

func (v *vms) update(s feed.State) {
	var targets []string
	for _, r := range s.Rows {
		targets = append(targets, r.Target)
	}
	if v.drawn && slices.Equal(v.have, s.VMs) && slices.Equal(v.targets, targets) && v.problem == s.VMProblem {
		return // do not replace a button below the pointer
	}
	v.have, v.targets, v.problem, v.drawn = s.VMs, targets, s.VMProblem, true
	v.draw()
}

// redraw draws the page that is shown now, if it is that of the VMs.
func (v *vms) redraw() {
	if now, ok := v.w.view.(*vms); ok {
		now.draw()
	}
}

func (v *vms) draw() {
	v.cards.Objects = nil
	if v.problem != "" {
		v.cards.Add(message("The VMs cannot be listed", v.problem))
	}
	running, shown := 0, 0
	for _, machine := range v.have {
		if machine.Status == vm.Running {
			running++
		}
		if v.want == "" || v.want == machine.Name {
			v.cards.Add(v.card(machine))
			shown++
		}
		if v.image && v.want == machine.Name {
			v.image = false
			v.makeImage(machine)
		}
	}
	v.head.SetText(fmt.Sprintf("of Lima · %d of %d running", running, len(v.have)))
	v.head.Hidden = len(v.have) == 0
	if shown == 0 && v.problem == "" {
		v.cards.Add(v.none())
	}
	v.cards.Refresh()
}

// forgeCommand makes the VM in which builds run on a Mac.
const forgeCommand = "ingot vm create ingot-forge --forge"

// none says how one gets a VM.
func (v *vms) none() fyne.CanvasObject {
	if v.want != "" {
		return message("There is no VM "+v.want, "It was deleted, or belongs to another user.")
	}
	return container.NewVBox(message("No Lima instance yet", "A published target becomes one by `ingot vm create NAME TARGET`, or by `limactl start` with the address of its lima.yaml, which the page Images copies for you. A VM for builds, the forge VM, is made by the first build that needs it, or by `"+forgeCommand+"`. Settings tells whether Lima is installed."),
		container.NewHBox(widget.NewButton("Copy the command of the forge VM", func() { v.w.copy(forgeCommand) }), widget.NewButton("Settings", func() { v.w.Go(Route{Page: pageSettings}) })))
}

func (v *vms) card(machine vm.Instance) fyne.CanvasObject {
	state, word := vmMark(machine), app.VMState(machine)
	doing, busy := v.w.doing[machine.Name]
	if busy {
		state, word = api.Running, doing+"…"
	}
	head := container.NewBorder(nil, nil, nil, container.NewCenter(pill(state, title(clean(word)))), text(clean(machine.Name), theme.SizeNameSubHeadingText, true))
	detail := widget.NewLabel(clean(app.VMLine(machine)))
	detail.Wrapping, detail.SizeName, detail.Importance = fyne.TextWrapWord, theme.SizeNameCaptionText, widget.LowImportance
	body := container.NewVBox(head, detail)
	if machine.DiskBytes > 0 {
		disk := newBar()
		disk.part.set(look.Second, "")
		disk.set(float32(float64(machine.DiskAllocated) / float64(machine.DiskBytes)))
		body.Add(disk)
	}
	stroke := look.Stroke
	if machine.Status == vm.Broken {
		stroke = look.Bad
	}
	if err := v.w.failed[machine.Name]; err != nil {
		stroke = look.Bad
		body.Add(v.trouble(machine, err))
	}
	body.Add(v.bar(machine, busy))
	return panel(stroke, container.New(narrowLayout{}, body))
}

// bar has what can be done with a VM.
func (v *vms) bar(machine vm.Instance, busy bool) fyne.CanvasObject {
	w := v.w
	runs := machine.Status == vm.Running
	bar := container.NewHBox()
	button := func(label string, icon fyne.Resource, enabled bool, tapped func()) *widget.Button {
		b := widget.NewButtonWithIcon(label, icon, tapped)
		if !enabled || busy {
			b.Disable()
		}
		bar.Add(b)
		return b
	}
	make := button("Make image…", nil, machine.Status != vm.Broken && machine.Status != vm.Unknown, func() { v.makeImage(machine) })
	make.Importance = widget.HighImportance
	if runs {
		button("Stop", theme.MediaStopIcon(), true, func() {
			v.act(machine.Name, "Stopping", func(ctx context.Context) error { return w.backend.VMStop(ctx, machine.Name) })
		})
	} else {
		button("Start", theme.MediaPlayIcon(), machine.Status == vm.Stopped, func() {
			v.act(machine.Name, "Starting", func(ctx context.Context) error { return w.backend.VMStart(ctx, machine.Name) })
		})
	}
	button("Open shell", nil, runs, func() {
		w.do(func(ctx context.Context) error {
			argv, environ, err := w.backend.VMShell(ctx, machine.Name)
			if err != nil {
				return err
			}
			return w.desktop.OpenTerminal(argv, environ)
		}, func(err error) { w.showStatus(err, "") })
	})
	button("Export…", nil, machine.Status != vm.Broken, func() {
		w.saveAs(machine.Name+"-"+machine.Arch+".qcow2", func(dst string) { v.take(machine, dst, false) })
	})
	bar.Add(v.buildHere(machine))
	return bar
}

// trouble says on a VM's card what went wrong, and opens the logs that say more.
func (v *vms) trouble(machine vm.Instance, err error) fyne.CanvasObject {
	msg := err.Error()
	if id, fix := api.Advice(err); id != "" {
		msg += " – " + fix
	}
	l := widget.NewLabel(cleanLines(msg))
	l.Wrapping, l.Importance, l.Selectable, l.SizeName = fyne.TextWrapWord, widget.DangerImportance, true, theme.SizeNameCaptionText
	bar := container.NewHBox()
	if machine.Dir != "" {
		bar.Add(widget.NewButton("Show logs", func() { v.w.showStatus(v.w.desktop.Reveal(filepath.Join(machine.Dir, "ha.stderr.log")), "") }))
	}
	bar.Add(widget.NewButton("Dismiss", func() {
		delete(v.w.failed, machine.Name)
		v.draw()
	}))
	return container.NewVBox(l, bar)
}

// buildHere returns a selection of the target to build in the VM, which must be
// ready.
func (v *vms) buildHere(machine vm.Instance) fyne.CanvasObject {
	s := widget.NewSelect(v.targets, func(target string) {
		v.w.submit(api.Submission{Target: target, Renew: true, Guest: vm.GuestName(machine.Name)})
	})
	s.PlaceHolder = "Build here…"
	if machine.Status != vm.Running || machine.Phase != vm.Ready {
		s.Disable()
	}
	return s
}

// take exports a VM. If the VM must be shut down for that, it asks the user and
// starts again with stop set.
func (v *vms) take(machine vm.Instance, dst string, stop bool) {
	w := v.w
	question := make(chan string, 1)
	o := vm.ExportOptions{Name: machine.Name, File: dst, Format: "qcow2", Stop: stop, Agree: func(q string) bool { question <- q; return false }}
	var res vm.Exported
	w.showStatus(nil, "exporting "+machine.Name+"…")
	v.w.doing[machine.Name] = "Exporting"
	delete(v.w.failed, machine.Name)
	v.draw()
	w.do(func(ctx context.Context) (err error) { res, err = w.backend.VMExport(ctx, o); return err }, func(err error) {
		delete(v.w.doing, machine.Name)
		v.redraw()
		select {
		case q := <-question: // nothing was done yet; after a yes, the export starts again
			if w.view != view(v) { // the question belongs to this page only
				w.failed[machine.Name] = errors.New("the export was not begun: " + q)
				return
			}
			dialog.ShowConfirm("Export "+machine.Name, q, func(yes bool) {
				if yes {
					v.take(machine, dst, true)
				}
			}, w.Window)
			return
		default:
		}
		if err != nil {
			v.w.failed[machine.Name] = err
			v.redraw()
		}
		w.showStatus(err, "wrote "+dst+" ("+res.Method+")")
	})
}

// act shows on a VM's card what is being done, does it, and shows there what went wrong.
func (v *vms) act(name, doing string, work func(ctx context.Context) error) {
	v.w.doing[name] = doing
	delete(v.w.failed, name)
	v.draw()
	v.w.do(work, func(err error) {
		delete(v.w.doing, name)
		if err != nil {
			v.w.failed[name] = err
		}
		v.redraw()
		v.w.showStatus(err, doing+" "+name+": done")
	})
}

// title begins with a capital letter.
func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// vmMark is the state whose mark a VM has.
func vmMark(machine vm.Instance) api.State {
	switch {
	case machine.Status == vm.Broken, machine.Phase == vm.Degraded:
		return api.Failed
	case machine.Status == vm.Running && machine.Phase == vm.Ready:
		return api.Passed
	case machine.Status == vm.Running:
		return api.Running
	}
	return api.Unknown
}

// narrowLayout gives its object the whole width; it needs little of it: a row of buttons
// that is too wide is cut.
type narrowLayout struct{}

func (narrowLayout) MinSize(o []fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(320, o[0].MinSize().Height)
}

func (narrowLayout) Layout(o []fyne.CanvasObject, s fyne.Size) { o[0].Resize(s) }
