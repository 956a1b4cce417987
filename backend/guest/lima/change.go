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

// Start starts an instance and waits until its host agent reports that it is ready; if
// it is ready already it returns at once. Degraded is an error. When ctx is done,
// limactl is ended and the instance stays as it is: a forced stop during a boot would
// do more harm. onLine gets limactl's lines.
func (l *Limactl) Start(ctx context.Context, name string, onLine func(Line)) error {
	i, leave, err := l.alone(ctx, name, onLine)
	if err != nil {
		return err
	}
	defer leave()
	if i.Status == Broken {
		return fail("lima.broken", name, "it cannot be started: %s", i.Problem)
	}
	if i.Status == Running && i.Phase == Starting {
		leave() // nothing is changed while waiting
		return l.Store.awaitReady(ctx, name)
	}
	if i.Status != Running {
		if err := l.change(ctx, startLimit, onLine, "start", "--timeout="+bootLimit.String(), name); err != nil {
			return l.notStarted(name, err)
		}
	}
	return l.Store.ready(name)
}

// notStarted distinguishes a failed start from one that ended degraded.
func (l *Limactl) notStarted(name string, err error) error {
	var failed *Error
	if !errors.As(err, &failed) || failed.ID != "lima.failed" {
		return err
	}
	if i, ierr := l.Store.Instance(name); ierr == nil && i.Status == Running {
		return fail("lima.not-ready", name, "it is running, but not ready: %w", failed.Err)
	}
	return err
}

// ready reads the host agent's log; limactl's exit code is not enough.
func (s Store) ready(name string) error {
	i, err := s.Instance(name)
	if err != nil {
		return err
	}
	if i.Status != Running || i.Phase != Ready {
		return fail("lima.not-ready", name, "limactl reported success, but the instance is %s %s: %s", i.Status, i.Phase, i.Problem)
	}
	return nil
}

// awaitReady waits for an instance that another process has started.
func (s Store) awaitReady(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bootLimit, fail("lima.not-ready", name, "it was not ready within %s after its start", bootLimit))
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
			end = fail("lima.not-ready", name, "it was starting, but is %s %s now: %s", i.Status, i.Phase, i.Problem)
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

// Stop shuts an instance down and waits until its processes have ended; force kills
// them at once, like a power failure. A stopped instance is not an error.
func (l *Limactl) Stop(ctx context.Context, name string, force bool, onLine func(Line)) error {
	i, leave, err := l.unlessForced(ctx, name, force, onLine)
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
	if err := l.change(ctx, stopLimit, onLine, args...); err != nil {
		return err
	}
	if i, err = l.Store.Instance(name); err == nil && i.Status == Running {
		return fail("lima.failed", name, "limactl stop reported success, but the instance is still running")
	}
	return err
}

// Create creates an instance, without starting it, from a template: a file, or an http
// or https address; flags are further flags of `limactl create`. If limactl fails, its
// files are reported, not removed.
func (l *Limactl) Create(ctx context.Context, name, template string, onLine func(Line), flags ...string) error {
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
	if err := l.change(ctx, copyLimit, onLine, slices.Concat([]string{"create", "--name=" + name}, flags, []string{template})...); err != nil {
		if i, ierr := l.Store.Instance(name); ierr == nil && ctx.Err() == nil {
			return fmt.Errorf("%w; an incomplete instance is in %s: remove it with `ingot vm delete %s`", err, i.Dir, name)
		}
		return err
	}
	_, err := l.Store.Instance(name)
	return err
}

// free checks that an instance of that name can be created.
func (l *Limactl) free(name string) error {
	_, err := l.Store.Instance(name)
	var none *NotFoundError
	if err == nil {
		return fail("lima.exists", name, "an instance of this name exists already")
	}
	if !errors.As(err, &none) {
		return err
	}
	return nil
}

// Clone copies a stopped instance. Lima 1's clone depends on the original's files
// (lima#1599) and is refused.
func (l *Limactl) Clone(ctx context.Context, from, to string, onLine func(Line)) error {
	if l.Major < 2 {
		return &Error{ID: "lima.too-old", Msg: l.Path, Err: fmt.Errorf("a clone by Lima %d.%d depends on its original's disk; Lima 2 makes an independent one", l.Major, l.Minor)}
	}
	i, leave, err := l.alone(ctx, from, onLine)
	if err != nil {
		return err
	}
	defer leave()
	if err := l.free(to); err != nil {
		return err
	}
	if i.Status != Stopped {
		return fail("lima.running", from, "it is %s; stop it first", i.Status)
	}
	if err := l.change(ctx, copyLimit, onLine, "clone", from, to); err != nil {
		return err
	}
	_, err = l.Store.Instance(to)
	return err
}

// Delete deletes an instance with its disk. It refuses a protected instance, and
// without force one that is not stopped.
func (l *Limactl) Delete(ctx context.Context, name string, force bool, onLine func(Line)) error {
	i, leave, err := l.unlessForced(ctx, name, force, onLine)
	if err != nil {
		return err
	}
	defer leave()
	switch {
	case i.Protected:
		return fail("lima.protected", name, "it is protected against deletion")
	case i.Status != Stopped && !force, i.foreign() != "":
		return fail("lima.running", name, "it is %s; %s", i.Status, cmp.Or(i.Problem, "stop it first"))
	}
	args := []string{"delete", name}
	if force {
		args = []string{"delete", "--force", name}
	}
	if err := l.change(ctx, deleteLimit, onLine, args...); err != nil {
		return err
	}
	if _, err := os.Lstat(i.Dir); !errors.Is(err, fs.ErrNotExist) {
		return fail("lima.failed", name, "limactl delete reported success, but %s still exists", i.Dir)
	}
	return nil
}

// ShellArgv returns the command that opens a shell in a running instance, or runs
// command there. The caller connects it to the terminal and sets LIMA_HOME=root.
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

// Shell runs a command in a running instance by `limactl shell`, without a terminal,
// and returns its output. A command that failed has the cause lima.failed.
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
