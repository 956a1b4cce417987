package window

import (
	"context"
	"fmt"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/dialog"
	"fyne.io/fyne/v2/widget"

	"ingot/backend/vm"
)

// makeImage asks what an image of a VM should be, and builds it. What it would take is
// read first: a VM whose disk cannot be copied as it is now is an error in the status line.
func (v *vms) makeImage(machine vm.Instance) {
	w := v.w
	var plan vm.ImagePlan
	w.do(func(ctx context.Context) (err error) {
		plan, err = w.backend.VMImagePlan(ctx, machine.Name)
		return err
	}, func(err error) {
		if err != nil {
			w.showStatus(err, "")
			return
		}
		v.imageSheet(machine, plan)
	})
}

// taken says what is removed of a copy.
const taken = "Ingot copies the disk, and removes from the copy host keys and machine id, Lima's users and everybody's keys, histories, logs, and what was deleted. It boots the image and signs what it saw."

// imageSheet shows the sheet. A VM that has a target already keeps its recipe.
func (v *vms) imageSheet(machine vm.Instance, plan vm.ImagePlan) {
	w := v.w
	name := widget.NewEntry()
	name.SetText(plan.Name)
	format := widget.NewRadioGroup([]string{"qcow2", "raw"}, nil)
	format.Horizontal, format.Required = true, true
	format.SetSelected("qcow2")
	if plan.Target != "" {
		name.SetText(plan.Target)
		name.Disable()
		format.Disable()
	}
	publish := widget.NewCheck("Publish it once it has booted", nil)
	about := widget.NewLabel(taken + " " + clean(machine.Name) + " itself is only read.")
	about.Wrapping = fyne.TextWrapWord
	room := widget.NewLabel(roomText(plan))
	room.Wrapping = fyne.TextWrapWord
	form := widget.NewForm(widget.NewFormItem("Target", name), widget.NewFormItem("Format", format), widget.NewFormItem("Then", publish))
	sheet := dialog.NewCustomConfirm("Make an image of "+clean(machine.Name), "Make image", "Cancel", container.NewVBox(about, form, room), func(yes bool) {
		if !yes {
			return
		}
		o := vm.ImageOptions{Instance: machine.Name, Name: name.Text}
		if plan.Target == "" {
			o.Format = format.Selected
		}
		w.showStatus(nil, "asking for an image of "+machine.Name+"…")
		w.do(func(ctx context.Context) error { _, err := w.backend.VMImage(ctx, o, publish.Checked); return err }, func(err error) {
			w.showStatus(err, "the image of "+machine.Name+" is being made: see Builds")
		})
	}, w.Window)
	sheet.Resize(fyne.NewSize(560, 420))
	sheet.Show()
}

// roomText says how the disk is copied, and what room it needs.
func roomText(p vm.ImagePlan) string {
	how := "Its disk is copied while it stays stopped."
	if p.Method != vm.CopyDirect {
		how = "It runs on; its file systems stand still for about a second."
	}
	text := fmt.Sprintf("%s This needs up to %s; %s are free.", how, size(int64(p.Room)), size(int64(p.Free)))
	if p.Target != "" {
		text += " The recipe of " + p.Target + " says the rest."
	}
	return text
}
