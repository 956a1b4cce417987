package family

import (
	"fmt"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/target"
)

// Tool is a program that the guest needs, or, if the name is a path, a file (a header
// that the kernel's build tools include), with the package of the guest's distribution
// that contains it.
type Tool struct {
	Name    string `json:"name"`
	Package string `json:"package"`
	Why     string `json:"why"`
}

// SubIDs, followed by the user's name, is the name of a missing range of subordinate
// ids: useradd did not assign one if the user was created before newuidmap was
// installed.
const SubIDs = "subids:"

// Fragment is one kernel configuration fragment with its name for messages.
type Fragment struct {
	File string
	Data []byte
}

// Kernel is a built kernel. Its files, KernelFiles, are in the output folder.
type Kernel struct {
	Release  string `json:"release"`
	BuildID  string `json:"buildId"`
	Compiler string `json:"compiler"`
	Symbols  int    `json:"symbols"`
	Objects  int64  `json:"objects"` // lines of make's output, for the ETA of the next build
}

// KernelFiles are the outputs of Composer.BuildKernel.
var KernelFiles = []string{"vmlinuz", "vmlinux", "config", "System.map", "modules.tar"}

// TreeFile lists every file of a disk with its attributes; see Composer.Compare.
const TreeFile = "tree.txt"

// DiskInputs are the inputs of Composer.BuildDisk: files on this computer.
type DiskInputs struct {
	Rootfs, Vmlinuz, Config, Modules string
	Release                          string // of the kernel
	RootTar                          bool   // also write root.tar, for the tar.zst artifact

	// Whole is called with the disk's file as soon as the file is complete, so that it
	// can be read while the contents are still listed. An error ends the work.
	Whole func(file string) error
}

// Disk is a disk that BuildDisk has written: out/disk.raw and out/tree.txt, and
// out/root.tar if requested.
type Disk struct {
	RootPartUUID string `json:"rootPartUuid"`
	Size         int64  `json:"size"`
}

// Mirrors maps an archive's name to the base address to use for it. A mirror is not
// trusted: what it delivers is checked against the archive's signature or the lock.
type Mirrors map[string]string

// URLs returns the addresses of a locked package, the chosen mirror first.
func (m Mirrors) URLs(r target.Recipe, p target.LockedPackage) []string {
	var urls []string
	for _, a := range r.Archives {
		if a.Name != p.Archive {
			continue
		}
		urls = append(urls, m[a.Name]+"/"+p.Filename)
		if public := strings.TrimSuffix(a.URI, "/"); public != m[a.Name] {
			urls = append(urls, public+"/"+p.Filename)
		}
	}
	return urls
}

// MissingToolsError lists programs that a guest lacks.
type MissingToolsError struct {
	Guest string
	Tools []Tool
}

func (e *MissingToolsError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "guest %s lacks what the build needs:", e.Guest)
	for _, t := range e.Tools {
		fmt.Fprintf(&b, "\n  %s (%s)", t.Name, t.Why)
	}
	b.WriteString("\nrun `ingot doctor --install`")
	return b.String()
}

// ErrorClass returns the class of the error; see package cause.
func (*MissingToolsError) ErrorClass() cause.Class { return cause.Missing }

// Unwrap returns an error with the cause.
func (e *MissingToolsError) Unwrap() error {
	return &cause.Error{ID: "guest.tool-missing", Err: fmt.Errorf("%d programs are missing", len(e.Tools))}
}
