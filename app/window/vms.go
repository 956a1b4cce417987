package window

import (
	"context"
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/dialog"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app"
	"ingot/app/feed"
	"ingot/backend"
)

// vms shows the user's Lima instances as cards: start, stop, shell, build in one.
type vms struct {
	w       *Window
	want    string
	cards   *fyne.Container
	have    []backend.VM
	targets []string
	problem string
	drawn   bool
	all     fyne.CanvasObject
}

func newVMs(w *Window, r Route) view {
	v := &vms{w: w, want: r.arg(0), cards: container.NewVBox()}
	v.all = container.NewVScroll(v.cards)
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
		return // a button under the pointer is left alone
	}
	v.have, v.targets, v.problem, v.drawn = s.VMs, targets, s.VMProblem, true
	v.cards.Objects = nil
	if v.problem != "" {
		v.cards.Add(message("The VMs are not known", v.problem))
	}
	for _, vm := range v.have {
		if v.want == "" || v.want == vm.Name {
			v.cards.Add(v.card(vm))
		}
	}
	if len(v.cards.Objects) == 0 {
		v.cards.Add(message("No Lima instance yet", "A published target becomes one by `ingot vm create NAME TARGET`, or by `limactl start` with the address of its lima.yaml, which Artifacts copies for you."))
	}
	v.cards.Refresh()
}

func (v *vms) card(vm backend.VM) fyne.CanvasObject {
	w := v.w
	name := widget.NewLabel(clean(vm.Name))
	name.TextStyle.Bold = true
	name.Truncation = fyne.TextTruncateEllipsis
	detail := widget.NewLabel(clean(app.VMLine(vm)))
	detail.Wrapping = fyne.TextWrapWord
	runs := vm.Status == backend.VMRunning
	bar := container.NewHBox()
	button := func(label string, icon fyne.Resource, enabled bool, tapped func()) {
		b := widget.NewButtonWithIcon(label, icon, tapped)
		if !enabled {
			b.Disable()
		}
		bar.Add(b)
	}
	if runs {
		button("Stop", theme.MediaStopIcon(), true, func() {
			v.act("stopping "+vm.Name, func(ctx context.Context) error { return w.backend.VMStop(ctx, vm.Name) })
		})
	} else {
		button("Start", theme.MediaPlayIcon(), vm.Status == backend.VMStopped, func() {
			v.act("starting "+vm.Name, func(ctx context.Context) error { return w.backend.VMStart(ctx, vm.Name) })
		})
	}
	button("Open shell", theme.ComputerIcon(), runs, func() {
		w.do(func(ctx context.Context) error {
			argv, environ, err := w.backend.VMShell(ctx, vm.Name)
			if err != nil {
				return err
			}
			return w.desktop.OpenTerminal(argv, environ)
		}, func(err error) { w.say(err, "") })
	})
	button("Export…", theme.DownloadIcon(), vm.Status != backend.VMBroken, func() {
		w.saveAs(vm.Name+"-"+vm.Arch+".qcow2", func(dst string) { v.take(vm, dst, false) })
	})
	bar.Add(v.buildHere(vm))
	face := container.NewBorder(nil, nil, widget.NewIcon(theme.ComputerIcon()), container.NewHBox(widget.NewIcon(vmIcon(vm)), widget.NewLabel(app.VMState(vm))), name)
	return widget.NewCard("", "", container.NewVBox(face, detail, bar))
}

// buildHere builds a target in the VM, which must be ready.
func (v *vms) buildHere(vm backend.VM) fyne.CanvasObject {
	s := widget.NewSelect(v.targets, func(target string) {
		v.w.submit(backend.Submission{Target: target, Renew: true, Guest: backend.VMGuest(vm.Name)})
	})
	s.PlaceHolder = "Build here…"
	if vm.Status != backend.VMRunning || vm.Phase != backend.VMReady {
		s.Disable()
	}
	return s
}

// take exports a VM. A machine that has to be shut down for it is begun again
// with that, after a yes.
func (v *vms) take(vm backend.VM, dst string, stop bool) {
	w := v.w
	question := make(chan string, 1)
	o := backend.VMExportOptions{Name: vm.Name, File: dst, Format: "qcow2", Stop: stop, Agree: func(q string) bool { question <- q; return false }}
	var res backend.VMExported
	w.say(nil, "exporting "+vm.Name+"…")
	w.do(func(ctx context.Context) (err error) { res, err = w.backend.VMExport(ctx, o); return err }, func(err error) {
		select {
		case q := <-question: // nothing was done yet: it is asked here, and begun again
			dialog.ShowConfirm("Export "+vm.Name, q, func(yes bool) {
				if yes {
					v.take(vm, dst, true)
				}
			}, w.Window)
			return
		default:
		}
		w.say(err, "wrote "+dst+" ("+res.Method+")")
	})
}

// act says what is going on, does it, and says how it ended.
func (v *vms) act(doing string, work func(ctx context.Context) error) {
	v.w.say(nil, doing+"…")
	v.w.do(work, func(err error) { v.w.say(err, doing+": done") })
}

func vmIcon(vm backend.VM) fyne.Resource {
	switch {
	case vm.Status == backend.VMBroken, vm.Phase == backend.VMDegraded:
		return icon(backend.Failed)
	case vm.Status == backend.VMRunning && vm.Phase == backend.VMReady:
		return icon(backend.Passed)
	case vm.Status == backend.VMRunning:
		return icon(backend.Running)
	}
	return icon(backend.Unknown)
}
