package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"ingot/backend/limit"
)

// Children records, one file each, what a process of Ingot started and has to
// end: a virtual machine, or a work directory in a guest. The files of a
// process that was killed remain, and the next process ends what they name.
// Methods are safe for concurrent use, also by several processes.
type Children struct{ Dir string }

// Child is one such record. PID and Start identify the leader of a process
// group on this computer. Guest and Folder name a folder in a guest, or on this
// computer if Guest is "".
type Child struct {
	Owner      int    `json:"owner"` // process id of the Ingot process
	OwnerStart string `json:"ownerStart"`
	PID        int    `json:"pid,omitempty"`
	Start      string `json:"start,omitempty"`
	Guest      string `json:"guest,omitempty"`
	Folder     string `json:"folder,omitempty"`

	file string
}

// Add records a child of this process. The returned child's Forget removes the
// record.
func (c Children) Add(child Child) (Child, error) {
	child.Owner, child.OwnerStart = Self()
	if child.PID != 0 {
		child.Start, _ = startOf(child.PID) // the process has ended already
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

// Forget removes the record, after the child has ended or its folder was
// removed.
func (c Child) Forget() error {
	if c.file == "" { // never recorded
		return nil
	}
	if err := os.Remove(c.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("children: %w", err)
	}
	return nil
}

// Orphans returns the children whose owner process has ended. A file that
// cannot be read is an incomplete record, and is removed.
func (c Children) Orphans() ([]Child, error) {
	if c.Dir == "" {
		return nil, errors.New("children: the folder is not set")
	}
	files, err := filepath.Glob(filepath.Join(c.Dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("children: %w", err)
	}
	var out []Child
	for _, f := range files {
		data, err := limit.ReadFile(f, limit.Settings)
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

// End kills the child's process group if the process is still the recorded one.
// It reports whether there was a process to kill.
func (c Child) End() bool {
	return Alive(c.PID, c.Start) && syscall.Kill(-c.PID, syscall.SIGKILL) == nil
}
