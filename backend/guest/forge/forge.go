// Package forge makes, starts and stops the forge VM: the Lima instance of Ingot's own in
// which builds run on a computer that is not Linux.
package forge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/goccy/go-yaml"
	"golang.org/x/sys/unix"

	"ingot/backend/guest/lima"
	"ingot/backend/home"
)

// Name is the name of the instance.
const Name = "ingot-forge"

// Is reports whether a guest is the forge VM.
func Is(c home.GuestConfig) bool {
	return c.Kind == (lima.Kind{}).Name() && cmp.Or(c.Instance, c.Name) == Name
}

// idleTime is how long the forge VM goes on without a build, unless the configuration
// says otherwise. A start takes about half a minute on a Mac.
const idleTime = 5 * time.Minute

// VM is the forge VM as one process uses it. Processes that use the same store do not
// stop it for each other. Its methods are safe for concurrent use.
type VM struct {
	Store lima.Store
	// Config returns the current configuration.
	Config func() home.ForgeConfig
	Dir    string               // folder for the template
	Log    func(string, ...any) // gets the errors of a stop that no caller waits for

	once sync.Once
	turn chan struct{} // held by who starts or stops the instance

	mu    sync.Mutex
	users int
	held  *os.File    // the store's folder, locked while there are users
	idle  *time.Timer // until the stop; nil while there are users
}

func (f *VM) init() {
	f.once.Do(func() { f.turn = make(chan struct{}, 1) })
}

// Use makes the forge VM if there is none, starts it if it is not running, and keeps it
// running until release is called. note gets what is being done. When ctx is done, an
// instance that is being made is removed again.
func (f *VM) Use(ctx context.Context, note func(string)) (release func(), err error) {
	f.init()
	f.enter()
	defer func() {
		if err != nil {
			f.leave()
		}
	}()
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	l, err := lima.Find(ctx, f.Store)
	if err != nil {
		return nil, err
	}
	if err := f.hold(ctx, note); err != nil {
		return nil, err
	}
	if err := f.make(ctx, l, note); err != nil {
		return nil, err
	}
	i, err := f.Store.Instance(Name)
	if err != nil {
		return nil, err
	}
	if i.Status != lima.Running || i.Phase != lima.Ready {
		note("starting the forge VM " + Name)
		if err := l.Start(ctx, Name, func(l lima.Line) { note(l.String()) }); err != nil {
			return nil, err
		}
	}
	return sync.OnceFunc(f.leave), nil
}

// Make makes the forge VM without starting it. One that exists is an error.
func (f *VM) Make(ctx context.Context, note func(string)) error {
	l, err := lima.Find(ctx, f.Store)
	if err != nil {
		return err
	}
	if _, err := f.Store.Instance(Name); err == nil {
		return &lima.Error{ID: "lima.exists", Msg: "Lima instance " + Name, Err: errors.New("it exists already")}
	}
	return f.make(ctx, l, note)
}

// make creates the instance if there is none. One that was not made completely is
// deleted again.
func (f *VM) make(ctx context.Context, l *lima.Limactl, note func(string)) error {
	_, err := f.Store.Instance(Name)
	var none *lima.NotFoundError
	if !errors.As(err, &none) {
		return err
	}
	c := f.Config()
	file := c.Template
	if file == "" {
		text, err := template(c, runtime.GOARCH, home.Cores(), home.Memory())
		if err != nil {
			return err
		}
		file = filepath.Join(f.Dir, Name+".yaml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return fmt.Errorf("template of the forge VM: %w", err)
		}
	}
	note("making the forge VM " + Name + ", in which builds run")
	err = l.Create(ctx, Name, file, func(l lima.Line) { note(l.String()) })
	if err == nil {
		return nil
	}
	if i, ierr := f.Store.Instance(Name); ierr == nil && i.Status != lima.Running {
		err = errors.Join(err, l.Delete(context.WithoutCancel(ctx), Name, true, nil))
	}
	return err
}

// enter counts a user.
func (f *VM) enter() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users++
	if f.idle != nil {
		f.idle.Stop()
		f.idle = nil
	}
}

// hold keeps other processes from stopping the instance, after one that is stopping it.
// The caller has the turn.
func (f *VM) hold(ctx context.Context, note func(string)) error {
	f.mu.Lock()
	held := f.held != nil
	f.mu.Unlock()
	if held {
		return nil
	}
	dir, err := f.openStore()
	if err != nil {
		return err
	}
	if err := home.Flock(ctx, dir, unix.LOCK_SH, func() { note("another Ingot process is stopping " + Name + ": waiting for it") }); err != nil {
		return errors.Join(err, dir.Close())
	}
	f.mu.Lock()
	f.held = dir
	f.mu.Unlock()
	return nil
}

// openStore opens the store's folder, whose lock the processes share. It makes the folder
// if there is none, as limactl does.
func (f *VM) openStore() (*os.File, error) {
	root, err := f.Store.Root()
	if err != nil {
		return nil, err
	}
	err = os.MkdirAll(root, 0o700)
	var dir *os.File
	if err == nil {
		dir, err = os.Open(root)
	}
	if err != nil {
		return nil, &lima.Error{ID: "lima.store", Msg: root, Err: err}
	}
	return dir, nil
}

// leave is the end of a use. The last one starts the time until the stop.
func (f *VM) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users--; f.users > 0 {
		return
	}
	if f.held == nil {
		return // the instance was not touched
	}
	_ = f.held.Close() // and with it the lock
	f.held = nil
	if i, err := f.Store.Instance(Name); err == nil && i.Status == lima.Running {
		f.stopLater()
	}
}

func (f *VM) stopLater() {
	idle, err := time.ParseDuration(f.Config().Idle)
	if err != nil || idle == 0 {
		idle = idleTime
	}
	var timer *time.Timer
	timer = time.AfterFunc(idle, func() {
		if err := f.stop(context.Background()); err != nil {
			f.Log("the forge VM was not stopped", "err", err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.idle == timer {
			f.idle = nil
		}
	})
	f.idle = timer
}

// Adopt lets a forge VM that an earlier process left running stop after the idle time.
func (f *VM) Adopt() {
	f.init()
	if i, err := f.Store.Instance(Name); err != nil || i.Status != lima.Running {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users == 0 && f.idle == nil {
		f.stopLater()
	}
}

// Close stops the forge VM now instead of after its idle time, and waits for a stop that
// has begun. It does nothing if no idle time runs in this process.
func (f *VM) Close(ctx context.Context) error {
	f.init()
	f.mu.Lock()
	ours := f.idle != nil
	if ours {
		f.idle.Stop()
		f.idle = nil
	}
	f.mu.Unlock()
	if !ours {
		return nil
	}
	return f.stop(ctx)
}

// Busy reports whether the instance is used, or goes on until its idle time is over.
func (f *VM) Busy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.users > 0 || f.idle != nil
}

// trim gives the blocks of deleted files back to this computer.
var trim = []string{"sudo", "-n", "fstrim", "--all"}

// stop trims the disk and shuts the instance down, unless it is in use.
func (f *VM) stop(ctx context.Context) error {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	free, err := f.alone()
	if free == nil || err != nil {
		return err
	}
	defer free()
	l, err := lima.Find(ctx, f.Store)
	if err != nil {
		return err
	}
	i, err := f.Store.Instance(Name)
	if err != nil || i.Status != lima.Running {
		var none *lima.NotFoundError
		if errors.As(err, &none) {
			err = nil // deleted meanwhile
		}
		return err
	}
	if _, err := l.Shell(ctx, Name, trim...); err != nil {
		f.Log("the forge VM's disk was not trimmed", "err", err) // a guest without fstrim, or a disk without discard
	}
	return l.Stop(ctx, Name, false, func(l lima.Line) { f.Log(l.String()) })
}

// alone returns nil if this process or another one uses the instance. Else it keeps
// others out until the returned function is called.
func (f *VM) alone() (free func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users > 0 {
		return nil, nil
	}
	dir, err := f.openStore()
	if err != nil {
		return nil, err
	}
	if errors.Is(unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK) {
		return nil, dir.Close()
	}
	return func() { _ = dir.Close() }, nil
}

// template returns the forge VM's lima.yaml. It has no mounts, since package
// scripts run as root in it, and no containerd. Keys: lima-vm/lima@v2.2.0
// templates/default.yaml; the names with template:// are read by Lima 1.2 too.
func template(c home.ForgeConfig, arch string, cpus int, memory uint64) ([]byte, error) {
	names := map[string]string{"arm64": "aarch64", "amd64": "x86_64"}
	limaArch, ok := names[arch]
	if !ok {
		return nil, fmt.Errorf("the forge VM: there is no template for the architecture %s: name one with forge.template in config.yaml", arch)
	}
	type image struct {
		Location string `yaml:"location"`
		Arch     string `yaml:"arch"`
		Digest   string `yaml:"digest,omitempty"`
	}
	t := struct {
		Base       string          `yaml:"base,omitempty"`
		Images     []image         `yaml:"images,omitempty"`
		Arch       string          `yaml:"arch"`
		CPUs       int             `yaml:"cpus"`
		Memory     string          `yaml:"memory"`
		Disk       string          `yaml:"disk"`
		Mounts     []string        `yaml:"mounts"`
		Containerd map[string]bool `yaml:"containerd"`
		SSH        map[string]bool `yaml:"ssh"`
	}{
		Arch: limaArch, CPUs: c.CPUs, Memory: cmp.Or(c.Memory, share(memory)), Disk: cmp.Or(c.Disk, "40GiB"), Mounts: []string{},
		Containerd: map[string]bool{"system": false, "user": false}, SSH: map[string]bool{"loadDotSSHPubKeys": false},
	}
	if t.CPUs == 0 {
		t.CPUs = max(1, cpus)
	}
	if c.Image == "" {
		t.Base = "template://_images/debian-12"
	} else {
		t.Images = []image{{c.Image, limaArch, c.Digest}}
	}
	return yaml.Marshal(t)
}

// share is half of the computer's memory, 2 to 6 GiB: a kernel's build takes less
// than 6.
func share(total uint64) string {
	return fmt.Sprintf("%dGiB", min(max(total>>31, 2), 6))
}
