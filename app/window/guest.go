package window

import (
	"context"
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"ingot/backend/vm"
)

// guestCard shows where builds run that name no guest, and lets the user choose.
type guestCard struct {
	w       *Window
	card    fyne.CanvasObject
	body    *fyne.Container
	resized func() // after the card's height has changed
	chosen  func() // after another guest was chosen
	read    *reading[vm.Guests]
}

func newGuestCard(w *Window, resized, chosen func()) *guestCard {
	c := &guestCard{w: w, resized: resized, chosen: chosen, body: container.NewVBox(widget.NewLabel("Looking…"))}
	c.card = section("Where builds run", "the guest of builds that name none", c.body)
	c.read = &reading[vm.Guests]{w: w, read: w.backend.Guests, show: c.show}
	c.read.start()
	return c
}

func (c *guestCard) leave() { c.read.leave() }

func (c *guestCard) show(g vm.Guests, err error) {
	c.body.Objects = nil
	defer c.resized()
	defer c.body.Refresh()
	if err != nil {
		c.body.Add(message("The Lima instances cannot be listed", err.Error()))
	}
	titles, now := make([]string, len(g.Choices)), ""
	for i, choice := range g.Choices {
		if titles[i] = clean(choice.Title); choice.Default {
			now = titles[i]
		}
	}
	radio := widget.NewRadioGroup(titles, nil)
	radio.Required, radio.Selected = true, now
	radio.OnChanged = func(title string) {
		if i := slices.Index(titles, title); i >= 0 && title != now {
			radio.Disable()
			c.set(g.Choices[i].Name)
		}
	}
	c.body.Add(radio)
	if g.Problem != "" {
		c.body.Add(message("Builds cannot run there", g.Problem))
	}
	text := "config.yaml has no key guest: this is Ingot's own choice."
	if g.Set != "" {
		text = "config.yaml says so: guest: " + clean(g.Set)
	}
	note := widget.NewLabel(text)
	note.Wrapping = fyne.TextWrapWord
	c.body.Add(note)
}

// set writes the choice into config.yaml and shows what is there then.
func (c *guestCard) set(name string) {
	c.w.do(func(ctx context.Context) error { return c.w.backend.SetGuest(ctx, name) }, func(err error) {
		c.w.showStatus(err, "builds run in "+name+" from now on")
		c.read.start()
		if err == nil {
			c.chosen()
		}
	})
}
