package window

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app"
	"ingot/app/feed"
	"ingot/app/look"
	"ingot/backend/api"
)

// mostCards bounds the cards of failures: the rows have all of them.
const mostCards = 2

// showCards shows a card for each build, for what failed, and for what this computer
// lacks. It reports whether the cards have changed.
func (v *home) showCards(s feed.State) (changed bool) {
	var news []string
	for _, b := range s.Builds {
		news = append(news, "build "+b.ID)
	}
	var failed []api.Row
	for _, r := range v.all {
		if v.group(r) == app.GroupFailed {
			failed = append(failed, r)
			news = append(news, "failed "+r.Target+" "+app.Sentence(r))
		}
	}
	first := v.w.welcomes(s)
	news = append(news, fmt.Sprint(first, first && len(s.VMs) > 0, s.Live && len(s.Rows) == 0))
	if now := strings.Join(news, "\n"); now != v.news || len(v.cards.Objects) == 0 {
		v.news = now
		v.cards.Objects = nil
		v.bars = map[string]*buildCard{}
		v.unwelcome()
		if first {
			v.first = newWelcome(v.w, s, v.resized)
			v.cards.Add(v.first.object)
		}
		for _, b := range s.Builds {
			c := v.newBuildCard(b)
			v.bars[b.ID] = c
			v.cards.Add(c.object)
		}
		for _, r := range failed[:min(mostCards, len(failed))] {
			v.cards.Add(v.failCard(r))
		}
		changed = true
	}
	for _, b := range s.Builds {
		v.bars[b.ID].show(b, v.stopping[b.ID])
	}
	return changed
}

// unwelcome ends the card of a new home.
func (v *home) unwelcome() {
	if v.first != nil {
		v.first.leave()
		v.first = nil
	}
}

func (v *home) failCard(r api.Row) fyne.CanvasObject {
	see := widget.NewButton("See why", func() { v.w.Go(Route{pageTarget, []string{r.Target}}) })
	see.Importance = widget.HighImportance
	why := text(clean(app.Sentence(r)), theme.SizeNameCaptionText, false)
	why.Importance = widget.LowImportance
	return panel(look.Bad, container.NewBorder(nil, nil, container.NewCenter(pill(api.Failed, "Needs you")), container.NewCenter(see), container.New(linesLayout{}, text(clean(titleOf(r)), theme.SizeNameText, true), why)))
}

// titleOf is the name of a target for a person.
func titleOf(r api.Row) string {
	if r.Title != "" {
		return r.Title
	}
	return r.Target
}

// buildCard is the card of a build.
type buildCard struct {
	object       fyne.CanvasObject
	head         *fyne.Container
	step, left   *widget.Label
	progress     *bar
	cancel       *widget.Button
	stopping     bool
	shown, where string
}

func (v *home) newBuildCard(b feed.Build) *buildCard {
	title := b.Target
	if i := slices.IndexFunc(v.all, func(r api.Row) bool { return r.Target == b.Target }); i >= 0 {
		title = titleOf(v.all[i])
	}
	c := &buildCard{step: text("", theme.SizeNameCaptionText, false), left: widget.NewLabel(""), progress: newBar()}
	c.step.Importance, c.left.TextStyle.Bold = widget.LowImportance, true
	watch := widget.NewButton("Watch", func() { v.w.Go(Route{pageTarget, []string{b.Target}}) })
	c.cancel = widget.NewButton("Cancel", func() {
		v.stopping[b.ID] = true
		c.show(b, true)
		v.w.do(func(ctx context.Context) error { return v.w.backend.Cancel(ctx, b.ID) }, func(err error) {
			if err != nil {
				delete(v.stopping, b.ID)
				c.show(b, false)
				v.w.showStatus(err, "")
			}
		})
	})
	c.cancel.Importance = widget.LowImportance
	c.head = container.NewBorder(nil, nil, container.NewCenter(pill(api.Running, "Building")), container.NewCenter(container.NewHBox(c.left, watch, c.cancel)), container.New(linesLayout{}, text(clean(title), theme.SizeNameText, true), c.step))
	c.object = panel(look.Stroke, container.NewVBox(c.head, c.progress))
	return c
}

// show shows how far the build is.
func (c *buildCard) show(b feed.Build, stopping bool) {
	line, left := buildLine(b), ""
	if b.ETA > 0 {
		left = about(b.ETA)
	}
	if stopping {
		line, left = "Cancelling…", ""
	}
	if c.shown != line {
		c.shown = line
		c.step.SetText(line)
	}
	if c.where != left {
		c.where = left
		c.left.SetText(left)
		c.head.Refresh() // its parts have other sizes
	}
	if p, ok := b.Percent(); ok {
		c.progress.set(float32(p) / 100)
	} else {
		c.progress.set(0)
	}
	if stopping != c.stopping {
		c.stopping = stopping
		if stopping {
			c.cancel.Disable()
		} else {
			c.cancel.Enable()
		}
	}
}
