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
	// ExportVM writes a VM's disk and returns when it is written.
	ExportVM func(ctx context.Context, name string) error
	// Terminal runs a command in a terminal window of its own; environ is its
	// whole environment.
	Terminal func(ctx context.Context, argv, environ []string) error
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
	case VMExport:
		return "exporting " + a.Arg + "…"
	case VMStart:
		return "starting " + a.Arg + "…"
	case VMStop:
		return "stopping " + a.Arg + "…"
	case Build, BootTest, Publish, BuildIn:
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
	case BuildIn:
		return d.submit(ctx, backend.Submission{Target: a.Target, Renew: true, Guest: backend.VMGuest(a.Arg)})
	case VMStart:
		return d.startVM(ctx, a.Arg)
	case VMStop:
		return backend.VMStop(ctx, a.Arg, false, nil)
	case VMExport:
		return d.ExportVM(ctx, a.Arg)
	case VMShell:
		return d.shell(ctx, a.Arg)
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

func (d *Desk) startVM(ctx context.Context, name string) error {
	b, err := d.Open()
	if err != nil {
		return err
	}
	return b.VMStart(ctx, name, nil)
}

func (d *Desk) shell(ctx context.Context, name string) error {
	argv, environ, err := backend.VMShell(ctx, name)
	if err != nil {
		return err
	}
	return d.Terminal(ctx, argv, environ)
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
