package window

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/dialog"
	"fyne.io/fyne/v2/widget"

	"ingot/backend/api"
	"ingot/backend/vm"
)

// makeImage asks what an image of a VM should be, and builds it. What it would take is
// read first: a VM whose disk cannot be copied as it is now is an error in the status line.
func (v *vms) makeImage(machine vm.Instance) {
	w := v.w
	var plan vm.ImagePlan
	var took time.Duration
	w.showStatus(nil, "looking at "+machine.Name+"…")
	w.do(func(ctx context.Context) (err error) {
		if plan, err = w.backend.VMImagePlan(ctx, machine.Name); err == nil && plan.Target != "" {
			took = w.lastTook(plan.Target)
		}
		return err
	}, func(err error) {
		if err != nil {
			w.failed[machine.Name] = err
			v.redraw()
			w.showStatus(err, "")
			return
		}
		if w.view != view(v) { // another page is shown by now
			return
		}
		w.status.SetText(summary(w.feed.State()))
		v.imageSheet(machine, plan, took)
	})
}

// lastTook returns how long the newest build of a target took that passed; 0 if none did,
// or its journal cannot be read.
func (w *Window) lastTook(target string) time.Duration {
	all, _ := w.backend.Builds(target)
	for _, b := range slices.Backward(all) {
		if b.Outcome != api.OutcomePassed {
			continue
		}
		if events, err := w.backend.Journal(target, b.ID); err == nil && len(events) > 0 {
			return events[len(events)-1].At.Sub(events[0].At)
		}
	}
	return 0
}

// imageIntro says what is done to the copy in any case.
const imageIntro = "Ingot copies the disk, and takes out of the copy what is this VM's alone: its host keys and id, the accounts that Lima made, what was deleted. It boots the image and signs what it saw."

// takeOut is the choice of what else is taken out, a box for each rule.
type takeOut struct {
	rules []vm.SanitiseRule
	boxes []*widget.Check
}

// takeOutOf returns the choice for a plan; rules that always apply have no box.
func takeOutOf(plan vm.ImagePlan) *takeOut {
	t := &takeOut{}
	for _, r := range plan.Rules {
		if r.Always {
			continue
		}
		text := r.What
		if n := foundBy(plan.Found, r.ID); n > 0 {
			text += " (" + size(n) + ")"
		}
		box := widget.NewCheck(text, nil)
		box.SetChecked(!r.Optional)
		t.rules, t.boxes = append(t.rules, r), append(t.boxes, box)
	}
	return t
}

// foundBy returns how many bytes a rule found; 0 if that is not known.
func foundBy(s *vm.Sanitised, rule string) int64 {
	if s == nil {
		return 0
	}
	for _, i := range slices.Concat(s.Removed, s.Stays) {
		if i.Rule == rule {
			return i.Size
		}
	}
	return 0
}

// choice returns what differs from the rules.
func (t *takeOut) choice() (c vm.SanitiseChoice) {
	for i, r := range t.rules {
		switch {
		case r.Optional && t.boxes[i].Checked:
			c.Also = append(c.Also, r.ID)
		case !r.Optional && !t.boxes[i].Checked:
			c.Keep = append(c.Keep, r.ID)
		}
	}
	return c
}

// objects returns the boxes for a layout.
func (t *takeOut) objects() (list []fyne.CanvasObject) {
	for _, b := range t.boxes {
		list = append(list, b)
	}
	return list
}

// imageSheet shows the sheet. A VM that has a target already keeps its recipe.
func (v *vms) imageSheet(machine vm.Instance, plan vm.ImagePlan, took time.Duration) {
	w := v.w
	name := widget.NewEntry()
	name.SetText(plan.Name)
	format := widget.NewRadioGroup([]string{"qcow2", "raw"}, nil)
	format.Horizontal, format.Required = true, true
	format.SetSelected("qcow2")
	stop := widget.NewCheck("Stop "+clean(machine.Name)+" while its disk is copied, and start it again", nil)
	if plan.Target != "" {
		name.SetText(plan.Target)
		name.Disable()
		format.Disable()
	}
	out := takeOutOf(plan)
	if plan.Target != "" { // the recipe says what
		out = &takeOut{}
	}
	publish := widget.NewCheck("Publish it once it has booted", nil)
	intro := widget.NewLabel(imageIntro + " " + clean(machine.Name) + " itself is only read.")
	intro.Wrapping = fyne.TextWrapWord
	room := widget.NewLabel(roomText(plan, took))
	room.Wrapping = fyne.TextWrapWord
	form := widget.NewForm(widget.NewFormItem("Target", name))
	if len(out.boxes) > 0 {
		form.Append("Take out", container.NewVBox(out.objects()...))
	}
	form.Append("Format", format)
	form.Append("Then", publish)
	if plan.Stops {
		form.Append("The copy", stop)
	}
	sheet := dialog.NewCustomConfirm("Make an image of "+clean(machine.Name), "Make image", "Cancel", container.NewVBox(intro, form, room), func(yes bool) {
		if !yes {
			return
		}
		o := vm.ImageOptions{Instance: machine.Name, Name: cmp.Or(strings.TrimSpace(name.Text), plan.Name), Sanitise: out.choice(), Stop: stop.Checked}
		if plan.Target == "" {
			o.Format = format.Selected
		}
		w.showStatus(nil, "asking for an image of "+machine.Name+"…")
		w.do(func(ctx context.Context) error { _, err := w.backend.VMImage(ctx, o, publish.Checked); return err }, func(err error) {
			if err == nil && w.view == view(v) {
				w.Go(Route{pageTarget, []string{o.Name}})
			}
			w.showStatus(err, "the image of "+machine.Name+" is being made")
		})
	}, w.Window)
	sheet.Resize(fyne.NewSize(600, 560))
	sheet.Show()
}

// roomText says how the disk is copied, what room it needs, and how long the last image of
// this VM took (0 is unknown).
func roomText(p vm.ImagePlan, took time.Duration) string {
	how := "Its disk is copied while it stays stopped."
	switch {
	case p.Stops:
		how = "Its disk can only be copied while it is stopped."
	case p.Method != vm.CopyDirect:
		how = "It runs on; its file systems stand still for about a second."
	}
	text := fmt.Sprintf("%s This needs up to %s; %s are free.", how, size(int64(p.Room)), size(int64(p.Free)))
	if p.Target != "" {
		text += " The recipe of " + p.Target + " says the rest."
	}
	if took > 0 {
		text += " The last image of it took " + formatDuration(took.Round(time.Second)) + "."
	}
	return text
}
