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
	"ingot/backend/api"
	"ingot/backend/vm"
)

// vms shows the user's Lima instances as cards: start, stop, shell, build in
// one.
type vms struct {
	w       *Window
	want    string
	image   bool // the sheet of an image of the wanted VM is to be shown
	cards   *fyne.Container
	have    []vm.Instance
	targets []string
	problem string
	drawn   bool
	all     fyne.CanvasObject
}

func newVMs(w *Window, r Route) view {
	v := &vms{w: w, want: r.arg(0), image: r.arg(1) == app.ImageSheet, cards: container.NewVBox()}
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
		return // do not replace a button below the pointer
	}
	v.have, v.targets, v.problem, v.drawn = s.VMs, targets, s.VMProblem, true
	v.cards.Objects = nil
	if v.problem != "" {
		v.cards.Add(message("The VMs cannot be listed", v.problem))
	}
	for _, machine := range v.have {
		if v.want == "" || v.want == machine.Name {
			v.cards.Add(v.card(machine))
		}
		if v.image && v.want == machine.Name {
			v.image = false
			v.makeImage(machine)
		}
	}
	if len(v.cards.Objects) == 0 {
		v.cards.Add(message("No Lima instance yet", "A published target becomes one by `ingot vm create NAME TARGET`, or by `limactl start` with the address of its lima.yaml, which the page Images copies for you."))
	}
	v.cards.Refresh()
}

func (v *vms) card(machine vm.Instance) fyne.CanvasObject {
	w := v.w
	name := widget.NewLabel(clean(machine.Name))
	name.TextStyle.Bold = true
	name.Truncation = fyne.TextTruncateEllipsis
	detail := widget.NewLabel(clean(app.VMLine(machine)))
	detail.Wrapping = fyne.TextWrapWord
	runs := machine.Status == vm.Running
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
			v.act("stopping "+machine.Name, func(ctx context.Context) error { return w.backend.VMStop(ctx, machine.Name) })
		})
	} else {
		button("Start", theme.MediaPlayIcon(), machine.Status == vm.Stopped, func() {
			v.act("starting "+machine.Name, func(ctx context.Context) error { return w.backend.VMStart(ctx, machine.Name) })
		})
	}
	button("Open shell", theme.ComputerIcon(), runs, func() {
		w.do(func(ctx context.Context) error {
			argv, environ, err := w.backend.VMShell(ctx, machine.Name)
			if err != nil {
				return err
			}
			return w.desktop.OpenTerminal(argv, environ)
		}, func(err error) { w.showStatus(err, "") })
	})
	button("Export…", theme.DownloadIcon(), machine.Status != vm.Broken, func() {
		w.saveAs(machine.Name+"-"+machine.Arch+".qcow2", func(dst string) { v.take(machine, dst, false) })
	})
	button("Make image…", theme.StorageIcon(), machine.Status != vm.Broken && machine.Status != vm.Unknown, func() { v.makeImage(machine) })
	bar.Add(v.buildHere(machine))
	face := container.NewBorder(nil, nil, widget.NewIcon(theme.ComputerIcon()), container.NewHBox(widget.NewIcon(vmIcon(machine)), widget.NewLabel(app.VMState(machine))), name)
	return widget.NewCard("", "", container.NewVBox(face, detail, bar))
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
	w.do(func(ctx context.Context) (err error) { res, err = w.backend.VMExport(ctx, o); return err }, func(err error) {
		select {
		case q := <-question: // nothing was done yet; after a yes, the export starts again
			dialog.ShowConfirm("Export "+machine.Name, q, func(yes bool) {
				if yes {
					v.take(machine, dst, true)
				}
			}, w.Window)
			return
		default:
		}
		w.showStatus(err, "wrote "+dst+" ("+res.Method+")")
	})
}

// act shows what is being done, does it, and shows the result.
func (v *vms) act(doing string, work func(ctx context.Context) error) {
	v.w.showStatus(nil, doing+"…")
	v.w.do(work, func(err error) { v.w.showStatus(err, doing+": done") })
}

func vmIcon(machine vm.Instance) fyne.Resource {
	switch {
	case machine.Status == vm.Broken, machine.Phase == vm.Degraded:
		return icon(api.Failed)
	case machine.Status == vm.Running && machine.Phase == vm.Ready:
		return icon(api.Passed)
	case machine.Status == vm.Running:
		return icon(api.Running)
	}
	return icon(api.Unknown)
}
