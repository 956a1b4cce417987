// Package lima accesses the user's Lima: it reads their instances from Lima's store,
// and makes changes only with their own limactl.
//
// # Instance
//
// A VM of the user. Its data is read from the files of its folder, as limactl does:
// lima.yaml, the pid files, ssh.config, the host agent's event log and the disk.
// Nothing is written there; `limactl list` removes stale pid files, this package does
// not.
//
// # Status
//
// Running means only that the host agent and the driver are running: it also appears
// while a VM boots that will never answer. Phase is the last state that the host agent
// reported; commands can run in a VM that is Ready, not in one that is Degraded.
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

// Status is the state of an instance's processes.
type Status int

// The statuses, named as in the output of `limactl list`.
const (
	Unknown Status = iota
	Running        // host agent and driver are running; it may not have booted
	Stopped
	Broken // see Instance.Problem
)

var statusNames = []string{"Unknown", "Running", "Stopped", "Broken"}

// String returns limactl's name of the status.
func (s Status) String() string { return statusNames[s] }

// MarshalText returns the status's name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses a status's name; an unknown name gives Unknown.
func (s *Status) UnmarshalText(b []byte) error {
	*s = Status(max(0, slices.Index(statusNames, string(b))))
	return nil
}

// Phase is the progress of a running instance, as reported by its host agent.
type Phase string

// The phases; "" is that of an instance that is not running.
const (
	Starting Phase = "starting"
	Ready    Phase = "ready"    // ssh and all requirements are met
	Degraded Phase = "degraded" // it is running, and a requirement is not met
	Exiting  Phase = "exiting"
)

// Instance is a VM as its folder describes it. Sizes are in bytes.
type Instance struct {
	Name    string `json:"name"`
	Dir     string `json:"dir"` // absolute
	Status  Status `json:"status"`
	Phase   Phase  `json:"phase,omitempty"`
	Arch    string `json:"arch"`              // Go's name
	OS      string `json:"os"`                // Lima's name: Linux, FreeBSD, Darwin; an unknown name is passed on unchanged
	VMType  string `json:"vmType"`            // qemu, vz, krunkit, …
	Version string `json:"version,omitempty"` // of the limactl that created it; "" if it recorded none (before 1.0)

	LegacyBIOS bool `json:"legacyBIOS,omitempty"` // it is started by a BIOS, and not by UEFI

	CPUs      int    `json:"cpus"`
	MemBytes  uint64 `json:"memBytes"`
	DiskBytes uint64 `json:"diskBytes"` // as configured: the size that the guest sees
	// DiskApparent and DiskAllocated are the sizes of Disk and Base together: file
	// sizes, and allocated blocks.
	DiskApparent  uint64 `json:"diskApparent"`
	DiskAllocated uint64 `json:"diskAllocated"`
	// Disk is the file of its disk with symbolic links resolved; "" if it does not
	// exist yet. The format is detected by the first bytes and not by the name.
	Disk string `json:"disk,omitempty"`
	// Base is the backing image of an instance that was created before Lima 2.1, with
	// symbolic links resolved; "" if there is none.
	Base string `json:"base,omitempty"`

	SSHAddr string `json:"sshAddr,omitempty"` // host:port; "" until a port is known
	User    string `json:"user,omitempty"`    // the user of a login; "" before the first start
	KeyFile string `json:"keyFile"`           // the private key that Lima created for all its instances

	HostAgentPID int    `json:"hostAgentPID,omitempty"` // 0 if it is not running
	DriverPID    int    `json:"driverPID,omitempty"`
	Problem      string `json:"problem,omitempty"` // why it is Broken, or another problem
	Protected    bool   `json:"protected"`         // `limactl protect` was called: delete is refused
}

// NotFoundError reports that no instance has this name.
type NotFoundError struct {
	Name string
	Dir  string // of the store
	Have []string
}

func (e *NotFoundError) Error() string {
	if len(e.Have) == 0 {
		return fmt.Sprintf("there is no Lima instance %q: %s has no instances; is LIMA_HOME the folder that limactl uses?", e.Name, e.Dir)
	}
	return fmt.Sprintf("there is no Lima instance %q in %s; there are: %s", e.Name, e.Dir, joined(e.Have))
}

// NameError reports a name that no instance can have.
type NameError struct{ Name string }

func (e *NameError) Error() string {
	return fmt.Sprintf("%q cannot be the name of a Lima instance", e.Name)
}

// StoreError reports that the store cannot be read.
type StoreError struct {
	Dir string
	Err error
}

func (e *StoreError) Error() string {
	return fmt.Sprintf("Lima's store %s: %v: is the disk connected, and do you own the folder? LIMA_HOME sets another one", e.Dir, e.Err)
}
func (e *StoreError) Unwrap() error { return e.Err }
