package lima

import "github.com/fsnotify/fsnotify"

// inotify is fsnotify on Linux, where the watch of a folder opens none of its files.
type inotify struct{ *fsnotify.Watcher }

func newFiles() (files, error) {
	w, err := fsnotify.NewWatcher()
	return inotify{w}, err
}

func (i inotify) events() <-chan fsnotify.Event { return i.Events }
func (i inotify) errors() <-chan error          { return i.Errors }

// AddInstance watches an instance's folder and with it all its files.
func (i inotify) AddInstance(dir string) { _ = i.Add(dir) } // deleted meanwhile: the store's own event reports it
