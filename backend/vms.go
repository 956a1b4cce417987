package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ingot/backend/guest"
	"ingot/backend/guest/lima"
	"ingot/backend/home"
)

// The user's Lima VMs, for faces; see package lima.
type (
	VM       = lima.Instance
	VMStatus = lima.Status
	VMLine   = lima.Line
)

// What a VM's processes, and its host agent, say of it; see package lima.
const (
	VMUnknown  = lima.Unknown
	VMRunning  = lima.Running
	VMStopped  = lima.Stopped
	VMBroken   = lima.Broken
	VMStarting = lima.Starting
	VMReady    = lima.Ready
	VMDegraded = lima.Degraded
)

// VMs lists the user's Lima instances. No process is started for it.
func VMs(ctx context.Context) ([]VM, error) { return lima.Store{}.List(ctx) }

// FindVM reads one instance.
func FindVM(name string) (VM, error) { return lima.Store{}.Instance(name) }

// limactlFor finds an instance, and the limactl that changes it: a name that is
// not there is told before a limactl that is not.
func limactlFor(ctx context.Context, name string) (VM, *lima.Limactl, error) {
	vm, err := FindVM(name)
	if err != nil {
		return vm, nil, err
	}
	l, err := lima.Find(ctx, lima.Store{})
	return vm, l, err
}

// WatchVMs calls news with the list, now and whenever it changed, until ctx
// ends; news is called by the calling goroutine. Nothing is polled.
func WatchVMs(ctx context.Context, news func([]VM, error)) error {
	return lima.Store{}.Watch(ctx, news)
}

// VMStart starts an instance and waits until it is ready. said, which may be
// nil, gets limactl's lines. While an instance gets its disk, the local store
// is up: its template may name an image there.
func (b *Backend) VMStart(ctx context.Context, name string, said func(VMLine)) error {
	vm, l, err := limactlFor(ctx, name)
	if err != nil {
		return err
	}
	if vm.Disk == "" {
		s, err := b.OpenStore(ctx, 0)
		if err != nil {
			b.log.Warn("local store", "err", err) // the image may well be elsewhere
		} else {
			defer func() { _ = s.Close() }()
		}
	}
	return l.Start(ctx, name, said)
}

// VMStop shuts an instance down; force pulls its plug.
func VMStop(ctx context.Context, name string, force bool, said func(VMLine)) error {
	_, l, err := limactlFor(ctx, name)
	if err != nil {
		return err
	}
	return l.Stop(ctx, name, force, said)
}

// VMClone copies a stopped instance.
func VMClone(ctx context.Context, from, to string, said func(VMLine)) error {
	_, l, err := limactlFor(ctx, from)
	if err != nil {
		return err
	}
	return l.Clone(ctx, from, to, said)
}

// VMDelete deletes an instance with its disk. Asking first is the face's part.
func VMDelete(ctx context.Context, name string, force bool, said func(VMLine)) error {
	_, l, err := limactlFor(ctx, name)
	if err != nil {
		return err
	}
	return l.Delete(ctx, name, force, said)
}

// VMCreate makes an instance, not started. from is a template – a file whose
// name ends in .yaml or .yml, or an http(s) address – or a target, whose
// published template is taken.
func (b *Backend) VMCreate(ctx context.Context, name, from string, said func(VMLine)) error {
	template, err := b.template(ctx, from)
	if err != nil {
		return err
	}
	l, err := lima.Find(ctx, lima.Store{})
	if err != nil {
		return err
	}
	s, err := b.OpenStore(ctx, 0)
	if err != nil {
		b.log.Warn("local store", "err", err) // the template may well be elsewhere
	} else {
		defer func() { _ = s.Close() }()
	}
	return l.Create(ctx, name, template, said)
}

// template resolves what VMCreate takes.
func (b *Backend) template(ctx context.Context, from string) (string, error) {
	lower := strings.ToLower(from)
	switch {
	case strings.HasPrefix(lower, "http://"), strings.HasPrefix(lower, "https://"):
		return from, nil
	case strings.HasSuffix(lower, ".yaml"), strings.HasSuffix(lower, ".yml"):
		return filepath.Abs(from) // now: an open local store changes this process's directory
	}
	if _, err := b.targets.Get(from); err != nil {
		return "", err
	}
	all, err := b.Artifacts(ctx)
	if err != nil {
		return "", err
	}
	for _, a := range all {
		if a.Target == from && a.Template != "" {
			return a.Template, nil
		}
	}
	return "", &lima.Error{ID: "lima.no-template", Msg: "target " + from, Err: errors.New("nothing of it is published")}
}

// VMShell is the command that opens a shell in a running instance, or runs
// command there, and its environment. Whoever runs it gives it the terminal.
func VMShell(ctx context.Context, name string, command ...string) (argv, environ []string, err error) {
	_, l, err := limactlFor(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	argv, root, err := l.ShellArgv(name, command...)
	return argv, append(os.Environ(), "LIMA_HOME="+root), err
}

// limaPrefix begins the name of a guest that is a Lima instance of its own name
// and stands in no config.yaml.
const limaPrefix = "lima:"

// VMGuest is the name of an instance as a guest of builds.
func VMGuest(name string) string { return limaPrefix + name }

// GuestNames are the guests of config.yaml, in its order.
func (b *Backend) GuestNames() (names []string) {
	for _, g := range b.config.Guests {
		names = append(names, g.Name)
	}
	return names
}

// openLima opens the guests that are Lima instances; ok tells whether it is one.
func (b *Backend) openLima(ctx context.Context, c home.GuestConfig) (g guest.Guest, ok bool, err error) {
	if c.Kind != "lima" {
		return nil, false, nil
	}
	g, err = lima.OpenConfig(ctx, c)
	if err != nil {
		err = fmt.Errorf("guest %s: %w", c.Name, err)
	}
	return g, true, err
}

// limaClass sorts the causes of package lima; ok is false for any other.
func limaClass(id string) (c Class, ok bool) {
	name, ok := strings.CutPrefix(id, "lima.")
	if !ok {
		return ClassOther, false
	}
	switch name {
	case "missing", "too-old", "guest-unfit":
		return ClassMissing, true
	case "root", "store", "no-instance", "bad-name", "exists", "template", "no-template", "not-running", "running", "protected", "shared-mount":
		return ClassInput, true
	}
	return ClassOther, true // it was asked for rightly, and Lima failed
}
