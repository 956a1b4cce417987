// Package vm works on the Lima instances that the user has: it lists, starts,
// stops, clones and deletes them, copies their disks, and installs a built
// kernel in one.
package vm

import (
	"context"
	"os"

	"ingot/backend"
	"ingot/backend/guest/lima"
	"ingot/backend/status"
)

// Types of package lima, for the user interfaces.
type (
	Instance = lima.Instance
	Status   = lima.Status
	Line     = lima.Line
)

// States of a VM's processes and of its host agent; see package lima.
const (
	Unknown  = lima.Unknown
	Running  = lima.Running
	Stopped  = lima.Stopped
	Broken   = lima.Broken
	Starting = lima.Starting
	Ready    = lima.Ready
	Degraded = lima.Degraded
)

// List returns the user's Lima instances. It starts no process.
func List(ctx context.Context) ([]Instance, error) { return lima.Store{}.List(ctx) }

// Find returns one instance.
func Find(name string) (Instance, error) { return lima.Store{}.Instance(name) }

// limactlFor finds an instance and limactl. If both are missing, the error is about the
// instance.
func limactlFor(ctx context.Context, name string) (Instance, *lima.Limactl, error) {
	vm, err := Find(name)
	if err != nil {
		return vm, nil, err
	}
	l, err := lima.Find(ctx, lima.Store{})
	return vm, l, err
}

// Watch calls news with the list of instances, now and after every change, until ctx is
// done. It calls news from the calling goroutine, and does not poll.
func Watch(ctx context.Context, news func([]Instance, error)) error {
	return lima.Store{}.Watch(ctx, news)
}

// Start starts an instance and waits until it is ready. onLine, which may be nil, gets
// limactl's lines. If the instance has no disk yet, the local store serves meanwhile,
// since the template may name an image there.
func Start(ctx context.Context, b *backend.Backend, name string, onLine func(Line)) error {
	vm, l, err := limactlFor(ctx, name)
	if err != nil {
		return err
	}
	if vm.Disk == "" {
		s, err := b.OpenStore(ctx, 0)
		if err != nil {
			b.Log.Warn("local store", "err", err) // the image may be elsewhere
		} else {
			defer func() { _ = s.Close() }()
		}
	}
	return l.Start(ctx, name, onLine)
}

// Stop shuts an instance down; force ends its processes without a shutdown of the
// guest.
func Stop(ctx context.Context, name string, force bool, onLine func(Line)) error {
	_, l, err := limactlFor(ctx, name)
	if err != nil {
		return err
	}
	return l.Stop(ctx, name, force, onLine)
}

// Clone copies a stopped instance.
func Clone(ctx context.Context, from, to string, onLine func(Line)) error {
	_, l, err := limactlFor(ctx, from)
	if err != nil {
		return err
	}
	return l.Clone(ctx, from, to, onLine)
}

// Delete deletes an instance with its disk. The caller asks for confirmation.
func Delete(ctx context.Context, name string, force bool, onLine func(Line)) error {
	_, l, err := limactlFor(ctx, name)
	if err != nil {
		return err
	}
	return l.Delete(ctx, name, force, onLine)
}

// Create creates an instance without starting it. from is a template, which is a file
// whose name ends in .yaml or .yml or an http(s) address, or else a target, whose
// published template is used.
func Create(ctx context.Context, b *backend.Backend, name, from string, onLine func(Line)) error {
	template, err := status.Template(ctx, b, from)
	if err != nil {
		return err
	}
	l, err := lima.Find(ctx, lima.Store{})
	if err != nil {
		return err
	}
	s, err := b.OpenStore(ctx, 0)
	if err != nil {
		b.Log.Warn("local store", "err", err) // the template may be elsewhere
	} else {
		defer func() { _ = s.Close() }()
	}
	return l.Create(ctx, name, template, onLine)
}

// Shell returns the command and environment that open a shell in a running instance, or
// run command there. The caller connects it to the terminal.
func Shell(ctx context.Context, name string, command ...string) (argv, environ []string, err error) {
	_, l, err := limactlFor(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	argv, root, err := l.ShellArgv(name, command...)
	return argv, append(os.Environ(), "LIMA_HOME="+root), err
}

// GuestName returns the name of an instance as a guest of builds: lima:NAME.
func GuestName(instance string) string { return lima.GuestName(instance) }
