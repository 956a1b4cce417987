package tray

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"ingot/app/feed"
)

// How often the menu changes at most. Under an open menu nothing is built
// anew, since that would take the item away from under the pointer; systray
// tells when a menu opens and not when it closes, so a menu counts as open
// until a click, or for openFor.
const (
	rebuildPause = time.Second
	relabelPause = 250 * time.Millisecond
	openFor      = 15 * time.Second
)

// View shows menus. Its methods are called by one goroutine.
type View interface {
	Build(Menu)              // in place of the menu before
	Change(items []Item)     // label, box and whether enabled, of items of the menu
	Look(i Icon, tip string) // icon and tooltip
	// Clicks gives the IDs of clicked items, Opened a value whenever the menu is
	// opened, Closed one when that is known.
	Clicks() <-chan string
	Opened() <-chan struct{}
	Closed() <-chan struct{}
}

// Actor does what a click means. Do may block; each call has a goroutine of its
// own. The text that says what is being done may be empty.
type Actor interface {
	Do(ctx context.Context, a Action) error
	Doing(a Action) string
}

// Controller keeps a view true.
type Controller struct {
	Feed  *feed.Feed
	View  View
	Actor Actor
	// Failed is told of actions that failed, beside the menu's line. May be nil.
	Failed func(Action, error)
	// Ended is called once for an action Quit or StopAll that was done.
	Ended func()
	// AtLogin tells whether Ingot starts at login; nil where that cannot be.
	AtLogin func() bool

	here     Here
	menu     Menu
	built    time.Time
	changed  time.Time
	openTill time.Time
	doing    []*Action
	done     chan result
}

type result struct {
	act *Action
	err error
}

// Run shows the menu until ctx ends, and waits then for actions under way.
func (c *Controller) Run(ctx context.Context) {
	news, stop := c.Feed.Changed()
	defer stop()
	c.done = make(chan result)
	var acts sync.WaitGroup
	defer acts.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.here.NoLogin = c.AtLogin == nil
	c.draw(true)
	wake := time.NewTimer(time.Hour)
	defer wake.Stop()
	dirty := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-news:
			dirty = true
		case <-wake.C:
		case <-c.View.Opened():
			c.openTill = time.Now().Add(openFor)
			c.Feed.Refresh() // what lies on disk may have changed without a build
		case <-c.View.Closed():
			c.openTill = time.Time{}
			dirty = true
		case id := <-c.View.Clicks():
			c.openTill = time.Time{}
			dirty = true
			c.click(ctx, id, &acts)
		case r := <-c.done:
			dirty = true
			if c.finish(r) {
				c.Ended()
			}
		}
		if dirty {
			if wait := c.draw(false); wait > 0 {
				wake.Reset(wait)
			} else {
				dirty = false
			}
		}
	}
}

// draw brings the view up to date, as far as that may be now. It returns how
// long to wait before it is called again, 0 when all is shown.
func (c *Controller) draw(first bool) (wait time.Duration) {
	now := time.Now()
	if wait := relabelPause - now.Sub(c.changed); !first && wait > 0 {
		return wait
	}
	if c.AtLogin != nil {
		c.here.AtLogin = c.AtLogin()
	}
	c.here.Doing = nil
	for _, a := range c.doing {
		if text := c.Actor.Doing(*a); text != "" {
			c.here.Doing = append(c.here.Doing, text)
		}
	}
	m := Render(c.Feed.State(), c.here)
	if first || m.Icon != c.menu.Icon || m.Tooltip != c.menu.Tooltip {
		c.View.Look(m.Icon, m.Tooltip)
	}
	c.changed = now
	shape := first || !sameShape(c.menu.Items, m.Items)
	if wait := max(rebuildPause-now.Sub(c.built), c.openTill.Sub(now)); shape && !first && wait > 0 {
		c.change(m) // what can be shown without
		return wait
	}
	if shape {
		c.View.Build(m)
		c.menu, c.built = m, now
		return 0
	}
	c.change(m)
	return 0
}

// change shows what of m the menu has a place for.
func (c *Controller) change(m Menu) {
	diff := changes(c.menu.Items, m.Items)
	if len(diff) > 0 {
		c.View.Change(diff)
	}
	c.menu = Menu{Icon: m.Icon, Tooltip: m.Tooltip, Items: apply(c.menu.Items, diff)}
}

// click begins what an item means.
func (c *Controller) click(ctx context.Context, id string, acts *sync.WaitGroup) {
	i, ok := shown(c.menu.Items)[id]
	if !ok || i.Disabled || i.Do.Verb == Nothing {
		return
	}
	if i.Do.Verb == Dismiss {
		c.here.Error = ""
		return
	}
	act := i.Do
	c.doing = append(c.doing, &act)
	acts.Go(func() {
		err := c.Actor.Do(ctx, act)
		select {
		case c.done <- result{&act, err}:
		case <-ctx.Done():
		}
	})
}

// finish takes an action's end in; it tells whether the menu is to end.
func (c *Controller) finish(r result) (end bool) {
	c.doing = slices.DeleteFunc(c.doing, func(a *Action) bool { return a == r.act })
	if errors.Is(r.err, context.Canceled) {
		return false
	}
	if r.err == nil {
		c.here.Error = ""
		return r.act.Verb == Quit || r.act.Verb == StopAll
	}
	c.here.Error = r.err.Error()
	if r.act.Target != "" {
		c.here.Error = r.act.Target + ": " + c.here.Error
	}
	if c.Failed != nil {
		c.Failed(*r.act, r.err)
	}
	return false
}
