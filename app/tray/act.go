package tray

import (
	"context"
	"errors"
	"fmt"

	"ingot/app/feed"
	"ingot/backend"
)

// Desk does what clicks mean, with the backend and the desktop.
type Desk struct {
	// Open opens the home. It is called for each action, so that recipes and
	// configuration are those of now.
	Open func() (*backend.Backend, error)
	// State is what the feed knows.
	State func() feed.State
	// Window shows a route and returns when it is shown.
	Window func(ctx context.Context, route string) error
	// Export writes a target's disk in a format and returns when it is written.
	Export func(ctx context.Context, target, format string) error
	// AtLogin and SetAtLogin start Ingot at login, or not.
	AtLogin    func() bool
	SetAtLogin func(bool) error
}

// Doing says what takes long.
func (d *Desk) Doing(a Action) string {
	switch a.Verb {
	case Export:
		return fmt.Sprintf("exporting %s as %s…", a.Target, a.Arg)
	case StopAll:
		return "cancelling…"
	case Build, BootTest, Publish:
		return "asking for " + a.Target + "…"
	}
	return ""
}

// Do does it.
func (d *Desk) Do(ctx context.Context, a Action) error {
	switch a.Verb {
	case Build: // a lock whose inputs are gone from every mirror is renewed, as nobody here could say --renew
		return d.submit(ctx, backend.Submission{Target: a.Target, Renew: true})
	case BootTest:
		return d.submit(ctx, backend.Submission{Target: a.Target, Until: "prove", Force: []string{"prove"}})
	case Publish:
		return d.publish(ctx, backend.Submission{Target: a.Target, Force: []string{"publish"}})
	case Export:
		return d.Export(ctx, a.Target, a.Arg)
	case Cancel:
		return d.cancel(ctx, a.Arg)
	case Window:
		return d.Window(ctx, a.Arg)
	case AtLogin:
		return d.SetAtLogin(!d.AtLogin())
	case StopAll:
		return d.stopAll(ctx)
	}
	return nil
}

func (d *Desk) submit(ctx context.Context, s backend.Submission) error {
	b, err := d.Open()
	if err != nil {
		return err
	}
	_, err = b.Client().Submit(ctx, s)
	return err
}

func (d *Desk) publish(ctx context.Context, s backend.Submission) error {
	b, err := d.Open()
	if err != nil {
		return err
	}
	if err := b.CheckPublish(ctx, s); err != nil {
		return err
	}
	_, err = b.Client().Submit(ctx, s)
	return err
}

func (d *Desk) cancel(ctx context.Context, id string) error {
	b, err := d.Open()
	if err != nil {
		return err
	}
	return b.Client().Cancel(ctx, id)
}

// stopAll cancels all builds. One that has just ended is no fault.
func (d *Desk) stopAll(ctx context.Context) error {
	b, err := d.Open()
	if err != nil {
		return err
	}
	var errs []error
	for _, build := range d.State().Builds {
		err := b.Client().Cancel(ctx, build.ID)
		if backend.ClassOf(err) != backend.ClassInput { // no such build
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
