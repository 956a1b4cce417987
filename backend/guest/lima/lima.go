// Package lima is the user's Lima: their instances, read from Lima's store, and
// their own limactl, which makes every change.
//
// # Instance
//
// A VM of the user's. What is known of one is read from the files of its folder
// (limactl itself reads the same): lima.yaml, the pid files, ssh.config, the
// host agent's event log and the disk. Nothing is written there, not even a
// stale pid file removed, as `limactl list` does.
//
// # Status
//
// Running means that the host agent and the driver live and no more: it shows
// during the boot of a VM that will never answer. Phase is what the host agent
// said last; only Ready is a VM that can be worked in, Degraded is not.
//
// # Store
//
// The folder of all instances: $LIMA_HOME or ~/.lima.
//
// # Limactl
//
// The user's limactl, 2.1 or later, or 1.2. It refuses root.
//
// External facts: file names of an instance (lima-vm/lima@v2.2.0
// pkg/limatype/filenames), how a status follows from pid files
// (pkg/store/instance.go), events (pkg/hostagent/events), defaults
// (pkg/limayaml/defaults.go).
package lima

import (
	"fmt"
	"slices"
)

// Status is what the processes of an instance say.
type Status int

// The statuses. Their names are those that `limactl list` prints.
const (
	Unknown Status = iota
	Running        // host agent and driver live; no proof that it boots
	Stopped
	Broken // see Instance.Problem
)

var statusNames = []string{"Unknown", "Running", "Stopped", "Broken"}

// String is limactl's name of the status.
func (s Status) String() string { return statusNames[s] }

// MarshalText is the status's name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a status's name; what it does not know is Unknown.
func (s *Status) UnmarshalText(b []byte) error {
	*s = Status(max(0, slices.Index(statusNames, string(b))))
	return nil
}

// Phase is how far a running instance's host agent says that it came.
type Phase string

// The phases; "" is that of an instance that does not run.
const (
	Starting Phase = "starting"
	Ready    Phase = "ready"    // ssh and all requirements answer
	Degraded Phase = "degraded" // it runs, and something that it needs does not
	Exiting  Phase = "exiting"
)

// Instance is a VM as its folder describes it. Sizes are bytes.
type Instance struct {
	Name    string `json:"name"`
	Dir     string `json:"dir"` // absolute
	Status  Status `json:"status"`
	Phase   Phase  `json:"phase,omitempty"`
	Arch    string `json:"arch"`              // Go's name
	OS      string `json:"os"`                // Lima's name: Linux, FreeBSD, Darwin; one that Lima learns later stands as it is
	VMType  string `json:"vmType"`            // qemu, vz, krunkit, …
	Version string `json:"version,omitempty"` // of the limactl that made it; "" where it left none (before 1.0)

	CPUs      int    `json:"cpus"`
	MemBytes  uint64 `json:"memBytes"`
	DiskBytes uint64 `json:"diskBytes"` // as configured: what the guest sees
	// DiskApparent and DiskAllocated are what Disk and Base take: by their
	// sizes, and in blocks.
	DiskApparent  uint64 `json:"diskApparent"`
	DiskAllocated uint64 `json:"diskAllocated"`
	// Disk is the file of its disk with links followed; "" where there is none
	// yet. Its format is told by its first bytes and never by its name.
	Disk string `json:"disk,omitempty"`
	// Base is the image that an instance made before Lima 2.1 stands on, links
	// followed; "" where there is none.
	Base string `json:"base,omitempty"`

	SSHAddr string `json:"sshAddr,omitempty"` // host:port; "" as long as no port is known
	User    string `json:"user,omitempty"`    // who logs in; "" before the first start
	KeyFile string `json:"keyFile"`           // the private key that Lima made for all its instances

	HostAgentPID int    `json:"hostAgentPID,omitempty"` // 0 where it does not run
	DriverPID    int    `json:"driverPID,omitempty"`
	Problem      string `json:"problem,omitempty"` // why it is Broken, or what is odd about it
	Protected    bool   `json:"protected"`         // `limactl protect` was called: delete is refused
}

// NotFoundError says that no instance has this name.
type NotFoundError struct {
	Name string
	Dir  string // of the store
	Have []string
}

func (e *NotFoundError) Error() string {
	if len(e.Have) == 0 {
		return fmt.Sprintf("there is no Lima instance %q: %s has none; is LIMA_HOME the one that limactl uses?", e.Name, e.Dir)
	}
	return fmt.Sprintf("there is no Lima instance %q in %s; there are: %s", e.Name, e.Dir, joined(e.Have))
}

// NameError says that a name is none that an instance can have.
type NameError struct{ Name string }

func (e *NameError) Error() string {
	return fmt.Sprintf("%q is no name of a Lima instance", e.Name)
}

// StoreError says that the store cannot be read.
type StoreError struct {
	Dir string
	Err error
}

func (e *StoreError) Error() string {
	return fmt.Sprintf("Lima's store %s: %v: is the disk there, and does the folder belong to you? LIMA_HOME names another", e.Dir, e.Err)
}
func (e *StoreError) Unwrap() error { return e.Err }
