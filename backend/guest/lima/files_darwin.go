package lima

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// kqueue watches folders and single files. fsnotify's own watch of a folder opens all
// files in it and reports each write: a running VM writes its disk all the time.
type kqueue struct {
	queue  int
	wake   [2]int // a pipe: its end ends the goroutine
	found  chan fsnotify.Event
	failed chan error
	quit   chan struct{}
	ended  chan struct{}

	mu    sync.Mutex
	paths map[int]string // of open files
	fds   map[string]int
}

func newFiles() (files, error) {
	queue, err := unix.Kqueue()
	if err != nil {
		return nil, fmt.Errorf("kqueue: %w", err)
	}
	k := &kqueue{queue: queue, found: make(chan fsnotify.Event), failed: make(chan error), quit: make(chan struct{}), ended: make(chan struct{}), paths: map[int]string{}, fds: map[string]int{}}
	if err := unix.Pipe(k.wake[:]); err != nil {
		return nil, errors.Join(fmt.Errorf("kqueue: %w", err), unix.Close(queue))
	}
	unix.CloseOnExec(queue)
	unix.CloseOnExec(k.wake[0])
	unix.CloseOnExec(k.wake[1])
	if err := k.register(k.wake[0], unix.EVFILT_READ, 0); err != nil {
		return nil, errors.Join(err, unix.Close(queue), unix.Close(k.wake[0]), unix.Close(k.wake[1]))
	}
	go k.wait()
	return k, nil
}

func (k *kqueue) events() <-chan fsnotify.Event { return k.found }
func (k *kqueue) errors() <-chan error          { return k.failed }

func (k *kqueue) register(fd, filter int, notes uint32) error {
	var ev unix.Kevent_t
	unix.SetKevent(&ev, fd, filter, unix.EV_ADD|unix.EV_CLEAR)
	ev.Fflags = notes
	if _, err := unix.Kevent(k.queue, []unix.Kevent_t{ev}, nil, nil); err != nil {
		return fmt.Errorf("kqueue: %w", err)
	}
	return nil
}

// Add watches a file, or a folder for what is made and removed in it. A second Add has
// no effect.
func (k *kqueue) Add(path string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.fds[path]; known {
		return nil
	}
	fd, err := unix.Open(path, unix.O_EVTONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("watch %s: %w", path, err)
	}
	if err := k.register(fd, unix.EVFILT_VNODE, unix.NOTE_WRITE|unix.NOTE_DELETE|unix.NOTE_RENAME); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	k.paths[fd], k.fds[path] = path, fd
	return nil
}

// AddInstance watches an instance's folder and the files whose content says its state.
// A file that is not there yet is added after the folder has changed.
func (k *kqueue) AddInstance(dir string) {
	_ = k.Add(dir) // deleted meanwhile: the store's own event reports it
	for _, name := range stateFiles {
		_ = k.Add(filepath.Join(dir, name))
	}
	pids, _ := filepath.Glob(filepath.Join(dir, "*.pid")) // the pattern is good
	for _, p := range pids {
		_ = k.Add(p)
	}
}

// wait passes events on until Close.
func (k *kqueue) wait() {
	defer close(k.ended)
	events := make([]unix.Kevent_t, 16)
	for {
		n, err := unix.Kevent(k.queue, nil, events, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			select {
			case k.failed <- err:
			case <-k.quit:
			}
			return
		}
		for _, ev := range events[:n] {
			fd := int(ev.Ident)
			if fd == k.wake[0] {
				return
			}
			e, ok := k.event(fd, ev.Fflags)
			if !ok {
				continue
			}
			select {
			case k.found <- e:
			case <-k.quit:
				return
			}
		}
	}
}

// event names what happened. A file that is gone is not watched any more.
func (k *kqueue) event(fd int, notes uint32) (fsnotify.Event, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	path, ok := k.paths[fd]
	if !ok {
		return fsnotify.Event{}, false
	}
	if notes&(unix.NOTE_DELETE|unix.NOTE_RENAME) == 0 {
		return fsnotify.Event{Name: path, Op: fsnotify.Write}, true
	}
	delete(k.paths, fd)
	delete(k.fds, path)
	_ = unix.Close(fd) // takes its events along
	return fsnotify.Event{Name: path, Op: fsnotify.Remove}, true
}

// Close ends the watch.
func (k *kqueue) Close() error {
	close(k.quit)
	_, err := unix.Write(k.wake[1], []byte{0})
	<-k.ended
	k.mu.Lock()
	defer k.mu.Unlock()
	for fd := range k.paths {
		err = errors.Join(err, unix.Close(fd))
	}
	return errors.Join(err, unix.Close(k.queue), unix.Close(k.wake[0]), unix.Close(k.wake[1]))
}
