package lima

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/lima-vm/lima/v2/pkg/limatype/filenames"
)

// settle is the delay between a change and the next reading of the store: one start
// touches a dozen files.
const settle = 50 * time.Millisecond

// unseen is the longest delay before the next reading of a store in which a host agent
// lives that accepts no connection: its end would cause no event.
const unseen = 5 * time.Second

// Watch calls news with the list, now and after every change, until ctx is done, and
// returns ctx's cause. It calls news only from the calling goroutine. It does not poll:
// the file system reports changes of files, and a connection to each host agent shows
// its end, even if it was killed and its pid file remains. Only while a host agent
// accepts no connection is the store read again after a delay, which grows to unseen.
//
// `limactl watch` (since 2.1) reads the same event logs; it is not used, so that 1.2
// can be watched too and no further process runs.
func (s Store) Watch(ctx context.Context, news func([]Instance, error)) error {
	root, err := s.Root()
	if err != nil {
		return err
	}
	watched, err := newFiles()
	if err != nil {
		return &StoreError{root, err}
	}
	defer watched.Close()
	w := &watcher{store: s, root: root, files: watched, agents: map[string]*agent{}, gone: make(chan string)}
	defer w.hangUp()
	timer := time.NewTimer(0) // the first reading
	delay := settle
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case ev := <-watched.events():
			if w.matters(ev) {
				timer.Reset(settle)
			}
		case err := <-watched.errors():
			if err != nil && !errors.Is(err, fsnotify.ErrEventOverflow) {
				return &StoreError{root, err}
			}
			timer.Reset(settle)
		case name := <-w.gone:
			w.drop(name)
			timer.Reset(settle)
		case <-timer.C:
			if w.look(ctx, news) {
				delay = settle
				break
			}
			timer.Reset(delay)
			delay = min(2*delay, unseen)
		}
	}
}

// files watches files and folders. It has one user.
type files interface {
	Add(path string) error
	AddInstance(dir string) // watches what says an instance's state
	events() <-chan fsnotify.Event
	errors() <-chan error
	Close() error
}

// stateFiles are the files of an instance whose content says its state, beside the pid
// files.
var stateFiles = []string{filenames.LimaYAML, filenames.HostAgentStdoutLog, filenames.SSHConfig}

// watcher is the state of one Watch. Except for gone it is used by one goroutine.
type watcher struct {
	store    Store
	root     string
	files    files
	agents   map[string]*agent
	gone     chan string // names of instances whose host agent closed the connection
	wait     sync.WaitGroup
	last     []Instance
	lastE    error
	reported bool
}

// agent is an idle connection to a host agent, to detect its end.
type agent struct {
	pid  int
	conn net.Conn
	done chan struct{}
}

// look reads the list, watches new instances, and reports a change. It returns false if
// a host agent lives whose end it would not notice.
func (w *watcher) look(ctx context.Context, news func([]Instance, error)) bool {
	w.watchDirs()
	list, err := w.store.List(ctx)
	if ctx.Err() != nil {
		return true
	}
	held := true
	for _, i := range list {
		held = w.hold(i) && held
	}
	if !w.reported || !same(list, w.last) || (err == nil) != (w.lastE == nil) {
		w.reported, w.last, w.lastE = true, list, err
		news(list, err)
	}
	return held
}

// watchDirs watches the store, or its nearest existing parent, and the folders of its
// instances. A second Add has no effect; the kernel drops a folder that is removed.
func (w *watcher) watchDirs() {
	dir := w.root
	for w.files.Add(dir) != nil && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	if _, names, err := w.store.names(); err == nil {
		for _, n := range names {
			w.files.AddInstance(filepath.Join(w.root, n))
		}
	}
}

// matters reports whether an event can change the list. A running VM writes its disk
// and console logs all the time.
func (w *watcher) matters(ev fsnotify.Event) bool {
	if filepath.Dir(ev.Name) == w.root || !strings.HasPrefix(ev.Name, w.root) {
		return ev.Op != fsnotify.Chmod
	}
	switch name := filepath.Base(ev.Name); {
	case !ev.Has(fsnotify.Write) && ev.Op != fsnotify.Chmod:
		return true
	case slices.Contains(stateFiles, name), strings.HasSuffix(name, ".pid"):
		return ev.Has(fsnotify.Write)
	}
	return false
}

// hold connects to the host agent of an instance, if it has one. It returns false if
// that fails: it is starting, or it ended after the list was read.
func (w *watcher) hold(i Instance) bool {
	if a := w.agents[i.Name]; a != nil && a.pid == i.HostAgentPID {
		return true
	}
	w.drop(i.Name)
	if i.HostAgentPID == 0 {
		return true
	}
	conn, err := net.DialTimeout("unix", filepath.Join(i.Dir, filenames.HostAgentSock), dialWait)
	if err != nil {
		return false
	}
	a := &agent{i.HostAgentPID, conn, make(chan struct{})}
	w.agents[i.Name] = a
	w.wait.Go(func() {
		_, _ = conn.Read(make([]byte, 1)) // an HTTP server sends nothing before a request
		select {
		case w.gone <- i.Name:
		case <-a.done:
		}
	})
	return true
}

// drop closes a connection and ends its goroutine.
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

// same compares two lists without the disks' sizes, which change all the time.
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
