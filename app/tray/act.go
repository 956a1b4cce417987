package tray

import (
	"context"
	"errors"
	"fmt"

	"ingot/app/feed"
	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/owner"
	"ingot/backend/status"
	"ingot/backend/vm"
)

// Desk performs the menu's actions with the backend and the desktop.
type Desk struct {
	// Open opens the home. It is called for each action, so that an action uses
	// the current recipes and configuration.
	Open func() (*backend.Backend, error)
	// State returns the feed's state.
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

// Doing describes an action that takes long.
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

// Do performs an action.
func (d *Desk) Do(ctx context.Context, a Action) error {
	switch a.Verb {
	case Build: // a lock whose inputs are on no mirror is renewed, since the menu has no --renew
		return d.submit(ctx, api.Submission{Target: a.Target, Renew: true})
	case BootTest:
		return d.submit(ctx, api.Submission{Target: a.Target, Until: "prove", Force: []string{"prove"}})
	case Publish:
		return d.publish(ctx, api.Submission{Target: a.Target, Force: []string{"publish"}})
	case BuildIn:
		return d.submit(ctx, api.Submission{Target: a.Target, Renew: true, Guest: vm.GuestName(a.Arg)})
	case VMStart:
		return d.startVM(ctx, a.Arg)
	case VMStop:
		return vm.Stop(ctx, a.Arg, false, nil)
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

func (d *Desk) submit(ctx context.Context, s api.Submission) error {
	b, err := d.Open()
	if err != nil {
		return err
	}
	_, err = owner.ClientOf(b).Submit(ctx, s)
	return err
}

func (d *Desk) publish(ctx context.Context, s api.Submission) error {
	b, err := d.Open()
	if err != nil {
		return err
	}
	if err := status.CheckPublish(ctx, b, s); err != nil {
		return err
	}
	_, err = owner.ClientOf(b).Submit(ctx, s)
	return err
}

func (d *Desk) cancel(ctx context.Context, id string) error {
	b, err := d.Open()
	if err != nil {
		return err
	}
	return owner.ClientOf(b).Cancel(ctx, id)
}

func (d *Desk) startVM(ctx context.Context, name string) error {
	b, err := d.Open()
	if err != nil {
		return err
	}
	return vm.Start(ctx, b, name, nil)
}

func (d *Desk) shell(ctx context.Context, name string) error {
	argv, environ, err := vm.Shell(ctx, name)
	if err != nil {
		return err
	}
	return d.Terminal(ctx, argv, environ)
}

// stopAll cancels all builds. A build that has just ended is not an error.
func (d *Desk) stopAll(ctx context.Context) error {
	b, err := d.Open()
	if err != nil {
		return err
	}
	var errs []error
	for _, build := range d.State().Builds {
		err := owner.ClientOf(b).Cancel(ctx, build.ID)
		if api.ClassOf(err) != api.ClassInput { // no such build
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
