package lima

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/lima-vm/lima/v2/pkg/limatype/filenames"
)

// settle is how long after a change the store is read: one start touches a
// dozen files.
const settle = 50 * time.Millisecond

// Watch calls news with the list, now and whenever it has changed, until ctx
// ends; it returns ctx's cause. news is called by this goroutine alone. Nothing
// is polled: the file system tells of files, and a connection to each host
// agent tells of its end, also where it was killed and its pid file stays.
//
// `limactl watch` (since 2.1) reads the same event logs; it is not run, so that
// 1.2 is watched too and an idle watcher is no process more.
func (s Store) Watch(ctx context.Context, news func([]Instance, error)) error {
	root, err := s.Root()
	if err != nil {
		return err
	}
	files, err := fsnotify.NewWatcher()
	if err != nil {
		return &StoreError{root, err}
	}
	defer files.Close()
	w := &watcher{store: s, root: root, files: files, agents: map[string]*agent{}, gone: make(chan string)}
	defer w.hangUp()
	w.look(ctx, news)
	timer := time.NewTimer(0)
	if !timer.Stop() {
		<-timer.C
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case ev := <-files.Events:
			if w.matters(ev) {
				timer.Reset(settle)
			}
		case err := <-files.Errors:
			if err != nil && !errors.Is(err, fsnotify.ErrEventOverflow) {
				return &StoreError{root, err}
			}
			timer.Reset(settle)
		case name := <-w.gone:
			w.drop(name)
			timer.Reset(settle)
		case <-timer.C:
			w.look(ctx, news)
		}
	}
}

// watcher is one Watch. Only its goroutine touches it, but gone.
type watcher struct {
	store  Store
	root   string
	files  *fsnotify.Watcher
	agents map[string]*agent
	gone   chan string // names of instances whose host agent hung up
	wait   sync.WaitGroup
	last   []Instance
	lastE  error
	told   bool
}

// agent is a connection to a host agent that says nothing and waits for its end.
type agent struct {
	pid  int
	conn net.Conn
	done chan struct{}
}

// look lists, watches what is new, and tells of a change.
func (w *watcher) look(ctx context.Context, news func([]Instance, error)) {
	w.watchDirs()
	list, err := w.store.List(ctx)
	if ctx.Err() != nil {
		return
	}
	for _, i := range list {
		w.hold(i)
	}
	if !w.told || !same(list, w.last) || (err == nil) != (w.lastE == nil) {
		w.told, w.last, w.lastE = true, list, err
		news(list, err)
	}
}

// watchDirs watches the store, or what of its path there is, and the folders
// of its instances. Adding one twice is nothing; one that goes away is dropped
// by the kernel.
func (w *watcher) watchDirs() {
	dir := w.root
	for w.files.Add(dir) != nil && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	if _, names, err := w.store.names(); err == nil {
		for _, n := range names {
			_ = w.files.Add(filepath.Join(w.root, n)) // deleted meanwhile: the store's own event tells
		}
	}
}

// matters tells whether an event can change the list. A running disk is written
// all the time, and so are the logs of its serial line.
func (w *watcher) matters(ev fsnotify.Event) bool {
	if filepath.Dir(ev.Name) == w.root || !strings.HasPrefix(ev.Name, w.root) {
		return ev.Op != fsnotify.Chmod
	}
	switch name := filepath.Base(ev.Name); {
	case !ev.Has(fsnotify.Write) && ev.Op != fsnotify.Chmod:
		return true
	case name == filenames.LimaYAML, name == filenames.HostAgentStdoutLog, name == filenames.SSHConfig, strings.HasSuffix(name, ".pid"):
		return ev.Has(fsnotify.Write)
	}
	return false
}

// hold connects to the host agent of a running instance.
func (w *watcher) hold(i Instance) {
	if a := w.agents[i.Name]; a != nil && a.pid == i.HostAgentPID {
		return
	}
	w.drop(i.Name)
	if i.HostAgentPID == 0 {
		return
	}
	conn, err := net.DialTimeout("unix", filepath.Join(i.Dir, filenames.HostAgentSock), dialWait)
	if err != nil {
		return // it starts: its socket's file will be an event
	}
	a := &agent{i.HostAgentPID, conn, make(chan struct{})}
	w.agents[i.Name] = a
	w.wait.Go(func() {
		_, _ = conn.Read(make([]byte, 1)) // an HTTP server sends nothing unasked
		select {
		case w.gone <- i.Name:
		case <-a.done:
		}
	})
}

// drop ends a connection and its goroutine.
func (w *watcher) drop(name string) {
	if a := w.agents[name]; a != nil {
		close(a.done)
		_ = a.conn.Close()
		delete(w.agents, name)
	}
}

func (w *watcher) hangUp() {
	for name := range w.agents {
		w.drop(name)
	}
	w.wait.Wait()
}

// same compares two lists but for the disks' sizes, which change all the time.
func same(a, b []Instance) bool {
	if len(a) != len(b) {
		return false
	}
	for n := range a {
		x, y := a[n], b[n]
		x.DiskApparent, x.DiskAllocated, y.DiskApparent, y.DiskAllocated = 0, 0, 0, 0
		if x != y {
			return false
		}
	}
	return true
}
