package tray

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"ingot/app/feed"
)

// Minimal intervals between changes of the menu. An open menu is not built
// again, since the item below the pointer would disappear. systray reports when
// a menu opens and not when it closes, so a menu is regarded as open until a
// click, or for openFor.
const (
	rebuildPause = time.Second
	relabelPause = 250 * time.Millisecond
	openFor      = 15 * time.Second
)

// View shows menus. Its methods are called by one goroutine.
type View interface {
	Build(Menu)              // replaces the menu
	Change(items []Item)     // changes label, check mark and enabled state of existing items
	Look(i Icon, tip string) // sets icon and tooltip
	// Clicks gives the IDs of clicked items, Opened a value whenever the menu is
	// opened, Closed one when that is known.
	Clicks() <-chan string
	Opened() <-chan struct{}
	Closed() <-chan struct{}
}

// Actor performs the actions of clicks. Do may block; each call has its own
// goroutine. Doing returns a description of an action in progress, or "".
type Actor interface {
	Do(ctx context.Context, a Action) error
	Doing(a Action) string
}

// Controller keeps a View up to date.
type Controller struct {
	Feed  *feed.Feed
	View  View
	Actor Actor
	// Failed is called for actions that failed; the menu shows the error too.
	// It may be nil.
	Failed func(Action, error)
	// Ended is called once after a Quit or StopAll action.
	Ended func()
	// Notice is shown as the error of an action is, until the first action; it may be nil.
	Notice error
	// AtLogin reports whether Ingot starts at login; nil if the desktop does
	// not support it.
	AtLogin func() bool

	here     Here
	menu     Menu
	built    time.Time
	changed  time.Time
	openTill time.Time
	asked    time.Time // when AtLogin was called last
	doing    []*Action
	done     chan result
}

type result struct {
	act *Action
	err error
}

// askPause is the time between two calls of AtLogin while the menu stays closed.
const askPause = 30 * time.Second

// Run shows the menu until ctx is done, and then waits for the actions in
// progress.
func (c *Controller) Run(ctx context.Context) {
	news, stop := c.Feed.Changed()
	defer stop()
	c.done = make(chan result)
	var acts sync.WaitGroup
	defer acts.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.here.NoLogin = c.AtLogin == nil
	if c.Notice != nil {
		c.here.Error = c.Notice.Error()
	}
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
			c.asked = time.Time{}
			c.Feed.Refresh() // files may have changed without a build
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

// draw updates the view as far as the intervals allow. It returns the time
// after which it must be called again, or 0 if everything is shown.
func (c *Controller) draw(first bool) (wait time.Duration) {
	now := time.Now()
	if wait := relabelPause - now.Sub(c.changed); !first && wait > 0 {
		return wait
	}
	if c.AtLogin != nil && now.Sub(c.asked) > askPause { // on macOS a request to another process
		c.asked = now
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
		c.change(m) // what does not need a new menu
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

// change shows the parts of m that need no new menu.
func (c *Controller) change(m Menu) {
	diff := changes(c.menu.Items, m.Items)
	if len(diff) > 0 {
		c.View.Change(diff)
	}
	c.menu = Menu{Icon: m.Icon, Tooltip: m.Tooltip, Items: apply(c.menu.Items, diff)}
}

// click starts an item's action.
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

// finish handles the end of an action; it reports whether the menu must end.
func (c *Controller) finish(r result) (end bool) {
	c.doing = slices.DeleteFunc(c.doing, func(a *Action) bool { return a == r.act })
	c.asked = time.Time{} // the action may have been to start at login
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
