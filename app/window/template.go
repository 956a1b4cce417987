package window

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/dialog"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app/look"
	"ingot/backend/api"
	"ingot/backend/doctor"
)

// templateSuffix is that of Packer's templates.
const templateSuffix = ".pkr.hcl"

// isTemplate reports whether a file is a template of Packer, or a folder of some.
func isTemplate(file string, info fs.FileInfo) bool {
	if !info.IsDir() {
		return strings.HasSuffix(file, templateSuffix)
	}
	found, err := filepath.Glob(filepath.Join(file, "*"+templateSuffix))
	return err == nil && len(found) > 0
}

// diagnose looks for what keeps a template's machine from starting.
func (w *Window) diagnose(c *check, path string) {
	c.line = "this computer's QEMU is asked what it can do"
	w.checksChanged()
	var d *doctor.PackerDiagnosis
	w.do(func(ctx context.Context) (err error) { d, err = w.backend.DiagnosePacker(ctx, path); return err }, func(err error) {
		switch {
		case err != nil:
			w.end(c, api.Failed, "Not read", err.Error())
		case d.Refused():
			var lines []string
			for _, p := range d.Problems {
				lines = append(lines, p.String())
			}
			c.more = strings.Join(lines, "\n")
			w.end(c, api.Failed, "Refused", "Packer does not accept this template")
		case len(d.Findings) == 0:
			w.end(c, api.Passed, "No findings", "nothing in it keeps QEMU from starting on "+d.Platform)
		default:
			var lines []string
			for _, f := range d.Findings {
				lines = append(lines, f.ID+"  "+f.Position(), "  "+f.Why, "  Fix: "+f.Fix)
			}
			c.more = strings.Join(lines, "\n")
			c.fix = func() { w.showFixes(c, path) }
			w.end(c, api.Failed, "Would not start", fmt.Sprintf("%d findings for %s", len(d.Findings), d.Platform))
		}
	})
}

// showFixes shows what Ingot would change in a template, and writes it after a yes.
func (w *Window) showFixes(c *check, path string) {
	var m *doctor.PackerMended
	w.do(func(ctx context.Context) (err error) { m, err = w.backend.MendPacker(ctx, path); return err }, func(err error) {
		if err != nil {
			w.showStatus(err, "")
			return
		}
		if len(m.Changes) == 0 {
			w.showStatus(nil, "no fix can be written into the template by itself: the findings tell what to do")
			return
		}
		var diff strings.Builder
		for _, change := range m.Changes {
			diff.WriteString(change.Diff)
		}
		text := widget.NewLabel(cleanLines(diff.String()))
		text.TextStyle.Monospace, text.SizeName, text.Selectable = true, theme.SizeNameCaptionText, true
		body := fyne.CanvasObject(container.NewStack(newBlock(look.Raised, "", 8), container.NewScroll(text)))
		if n := len(m.After.Findings); n > 0 {
			body = container.NewBorder(nil, widget.NewLabel(fmt.Sprintf("%d findings are left after these changes.", n)), nil, nil, body)
		}
		d := dialog.NewCustomConfirm("Changes in "+clean(filepath.Base(path)), "Write them", "Cancel", body, func(yes bool) {
			if yes {
				w.do(func(context.Context) error { return m.Write() }, func(err error) {
					w.showStatus(err, "written; Packer can be started again")
					if err == nil {
						w.diagnose(w.begin(&check{name: c.name, state: api.Running, word: "Reading"}), path)
					}
				})
			}
		}, w.Window)
		d.Resize(fyne.NewSize(760, 480))
		d.Show()
	})
}
