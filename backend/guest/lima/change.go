package lima

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Start starts an instance and waits until its host agent says that it is
// ready; one that is ready already is done. Degraded is an error. When ctx ends,
// limactl ends and what it began stays: a forced stop in the middle of a boot
// would hurt the guest more. said gets limactl's lines as they come.
func (l *Limactl) Start(ctx context.Context, name string, said func(Line)) error {
	i, leave, err := l.alone(ctx, name, said)
	if err != nil {
		return err
	}
	defer leave()
	if i.Status == Broken {
		return fail("lima.broken", name, "it cannot be started: %s", i.Problem)
	}
	if i.Status == Running && i.Phase == Starting {
		leave() // nothing is changed while one waits
		return l.Store.awaitReady(ctx, name)
	}
	if i.Status != Running {
		if err := l.change(ctx, startLimit, said, "start", "--timeout="+bootLimit.String(), name); err != nil {
			return l.notStarted(name, err)
		}
	}
	return l.Store.ready(name)
}

// notStarted tells a start that failed from one that ended degraded.
func (l *Limactl) notStarted(name string, err error) error {
	var failed *Error
	if !errors.As(err, &failed) || failed.ID != "lima.failed" {
		return err
	}
	if i, ierr := l.Store.Instance(name); ierr == nil && i.Status == Running {
		return fail("lima.not-ready", name, "it runs, and is not ready: %w", failed.Err)
	}
	return err
}

// ready asks the host agent's log, not limactl's exit code.
func (s Store) ready(name string) error {
	i, err := s.Instance(name)
	if err != nil {
		return err
	}
	if i.Status != Running || i.Phase != Ready {
		return fail("lima.not-ready", name, "limactl ended well, and the instance is %s %s: %s", i.Status, i.Phase, i.Problem)
	}
	return nil
}

// awaitReady waits for an instance that somebody else has started.
func (s Store) awaitReady(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bootLimit, fail("lima.not-ready", name, "it is not ready %s after it was started", bootLimit))
	defer cancel()
	var end error
	err := s.Watch(ctx, func(list []Instance, _ error) {
		i, err := s.Instance(name)
		switch {
		case err != nil:
			end = err
		case i.Status == Running && i.Phase == Ready:
		case i.Status == Running && i.Phase == Starting:
			return
		default:
			end = fail("lima.not-ready", name, "it was starting, and is %s %s now: %s", i.Status, i.Phase, i.Problem)
		}
		cancel()
	})
	if end != nil {
		return end
	}
	if i, ierr := s.Instance(name); ierr == nil && i.Phase == Ready {
		return nil
	}
	return err
}

// Stop shuts an instance down and waits until its processes are gone; force
// ends them at once, as pulling the plug does. One that is stopped is done.
func (l *Limactl) Stop(ctx context.Context, name string, force bool, said func(Line)) error {
	i, leave, err := l.unlessForced(ctx, name, force, said)
	if err != nil {
		return err
	}
	defer leave()
	if i.Status == Stopped {
		return nil
	}
	if i.Status == Broken && (!force || i.foreign() != "") {
		return fail("lima.broken", name, "%s", i.Problem)
	}
	args := []string{"stop", name}
	if force {
		args = []string{"stop", "--force", name}
	}
	if err := l.change(ctx, stopLimit, said, args...); err != nil {
		return err
	}
	if i, err = l.Store.Instance(name); err == nil && i.Status == Running {
		return fail("lima.failed", name, "limactl stop ended well, and the instance runs")
	}
	return err
}

// Create makes an instance, not started, from a template: a file, or an http
// or https address; flags are more of `limactl create`. What limactl leaves
// where it fails is named, not removed.
func (l *Limactl) Create(ctx context.Context, name, template string, said func(Line), flags ...string) error {
	if err := l.free(name); err != nil {
		return err
	}
	if !strings.HasPrefix(template, "http://") && !strings.HasPrefix(template, "https://") {
		path, err := filepath.Abs(template)
		if err != nil {
			return err
		}
		if _, err := os.Stat(path); err != nil {
			return &Error{ID: "lima.template", Msg: "template " + template, Err: err}
		}
		template = path
	}
	if err := l.change(ctx, copyLimit, said, slices.Concat([]string{"create", "--name=" + name}, flags, []string{template})...); err != nil {
		if i, ierr := l.Store.Instance(name); ierr == nil && ctx.Err() == nil {
			return fmt.Errorf("%w; what was made of it is in %s: `ingot vm delete %s` removes it", err, i.Dir, name)
		}
		return err
	}
	_, err := l.Store.Instance(name)
	return err
}

// free tells whether an instance of that name may be made.
func (l *Limactl) free(name string) error {
	_, err := l.Store.Instance(name)
	var none *NotFoundError
	if err == nil {
		return fail("lima.exists", name, "there is one of that name")
	}
	if !errors.As(err, &none) {
		return err
	}
	return nil
}

// Clone copies a stopped instance. Lima 1's clone stands on the original's
// files (lima#1599) and is refused.
func (l *Limactl) Clone(ctx context.Context, from, to string, said func(Line)) error {
	if l.Major < 2 {
		return &Error{ID: "lima.too-old", Msg: l.Path, Err: fmt.Errorf("a clone made by Lima %d.%d dies with its original; Lima 2 makes one that stands alone", l.Major, l.Minor)}
	}
	i, leave, err := l.alone(ctx, from, said)
	if err != nil {
		return err
	}
	defer leave()
	if err := l.free(to); err != nil {
		return err
	}
	if i.Status != Stopped {
		return fail("lima.running", from, "it is %s; a clone is made of a stopped one", i.Status)
	}
	if err := l.change(ctx, copyLimit, said, "clone", from, to); err != nil {
		return err
	}
	_, err = l.Store.Instance(to)
	return err
}

// Delete deletes an instance with its disk. One that is protected is refused,
// and one that is not stopped unless force is set.
func (l *Limactl) Delete(ctx context.Context, name string, force bool, said func(Line)) error {
	i, leave, err := l.unlessForced(ctx, name, force, said)
	if err != nil {
		return err
	}
	defer leave()
	switch {
	case i.Protected:
		return fail("lima.protected", name, "it is protected against deletion")
	case i.Status != Stopped && !force, i.foreign() != "":
		return fail("lima.running", name, "it is %s; %s", i.Status, cmp.Or(i.Problem, "only a stopped one is deleted"))
	}
	args := []string{"delete", name}
	if force {
		args = []string{"delete", "--force", name}
	}
	if err := l.change(ctx, deleteLimit, said, args...); err != nil {
		return err
	}
	if _, err := os.Lstat(i.Dir); !errors.Is(err, fs.ErrNotExist) {
		return fail("lima.failed", name, "limactl delete ended well, and %s is still there", i.Dir)
	}
	return nil
}

// ShellArgv is the command that opens a shell in a running instance, or runs
// command there. Whoever runs it gives it the terminal, and LIMA_HOME=root.
func (l *Limactl) ShellArgv(name string, command ...string) (argv []string, root string, err error) {
	i, err := l.Store.Instance(name)
	if err != nil {
		return nil, "", err
	}
	if i.Status != Running {
		return nil, "", notRunning(i)
	}
	root, err = l.Store.Root()
	return append([]string{l.Path, "shell", name}, command...), root, err
}

// Shell runs a command in a running instance as `limactl shell` does, without a
// terminal, and returns what it wrote. A command that failed is a lima.failed.
func (l *Limactl) Shell(ctx context.Context, name string, command ...string) ([]byte, error) {
	i, err := l.Store.Instance(name)
	if err != nil {
		return nil, err
	}
	if i.Status != Running {
		return nil, notRunning(i)
	}
	var out bytes.Buffer
	err = l.run(ctx, shellLimit, &out, nil, append([]string{"--tty=false", "--log-format=json", "shell", "--workdir=/", name}, command...)...)
	return out.Bytes(), err
}

func notRunning(i Instance) error {
	if i.Status == Broken {
		return fail("lima.broken", i.Name, "%s", i.Problem)
	}
	return fail("lima.not-running", i.Name, "it is %s", i.Status)
}
