package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Children is a folder with one file for each thing that a process of Ingot
// started and has to end: a machine, a work directory in a guest. A process
// that was killed leaves its files; the next one ends what they name. Methods
// may be called from several goroutines and processes.
type Children struct{ Dir string }

// Child is one such thing. PID and Start name a process that leads a process
// group on this computer; Guest and Folder a folder in a guest, or with Guest
// "" on this computer.
type Child struct {
	Owner      int    `json:"owner"` // the process of Ingot
	OwnerStart string `json:"ownerStart"`
	PID        int    `json:"pid,omitempty"`
	Start      string `json:"start,omitempty"`
	Guest      string `json:"guest,omitempty"`
	Folder     string `json:"folder,omitempty"`

	file string
}

// Add records a child of this process; the child's Forget takes it out again.
func (c Children) Add(child Child) (Child, error) {
	child.Owner, child.OwnerStart = Self()
	if child.PID != 0 {
		child.Start, _ = startOf(child.PID) // gone already: nothing will have to be ended
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return child, fmt.Errorf("children: %w", err)
	}
	f, err := os.CreateTemp(c.Dir, ".new-")
	if err != nil {
		return child, fmt.Errorf("children: %w", err)
	}
	child.file = filepath.Join(c.Dir, fmt.Sprintf("%d-%s.json", child.Owner, filepath.Base(f.Name())[len(".new-"):]))
	err = errors.Join(json.NewEncoder(f).Encode(child), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), child.file)
	}
	if err != nil {
		return child, errors.Join(fmt.Errorf("children: %w", err), os.Remove(f.Name()))
	}
	return child, nil
}

// Forget takes the record out: the child has ended, or its folder is gone.
func (c Child) Forget() error {
	if c.file == "" { // never recorded
		return nil
	}
	if err := os.Remove(c.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("children: %w", err)
	}
	return nil
}

// Orphans are the children whose owner has gone. A file that cannot be read is
// a record that was never whole, and is removed.
func (c Children) Orphans() ([]Child, error) {
	if c.Dir == "" {
		return nil, errors.New("children: no folder is given")
	}
	files, err := filepath.Glob(filepath.Join(c.Dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("children: %w", err)
	}
	var out []Child
	for _, f := range files {
		data, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		child := Child{file: f}
		if err != nil || json.Unmarshal(data, &child) != nil {
			_ = os.Remove(f)
			continue
		}
		if !Alive(child.Owner, child.OwnerStart) {
			out = append(out, child)
		}
	}
	return out, nil
}

// End kills the child's process group, if it is still the one that was
// recorded. It returns whether there was something to end.
func (c Child) End() bool {
	return Alive(c.PID, c.Start) && syscall.Kill(-c.PID, syscall.SIGKILL) == nil
}
