// Package platform describes what a computer offers to a virtual machine of QEMU:
// emulators with their machines, processors, accelerators and displays, and firmware
// files with their sizes.
//
// Here asks this computer's QEMU. For reads a data file of resources/packer instead,
// which describes another platform, dated and with a source per line. What neither knows
// is NotKnown: no finding may rest on it.
package platform

import (
	"context"
	"path"
	"strings"
)

// Answer is what is known of a fact.
type Answer int

// Answers.
const (
	NotKnown Answer = iota
	Yes
	No
)

// Platform is one computer.
type Platform struct {
	OS, Arch string // as Go names them
	Title    string // for people
	QEMU     string // version, if there is one for all emulators
	Date     string // of the data, YYYY-MM-DD; "" where this computer was asked
	Packer   string // version of Packer; "" is not known
	DevKVM   Answer // whether /dev/kvm can be opened, which chooses Packer's accelerator

	emulator func(ctx context.Context, binary string) Emulator
	file     func(name string, rom bool) File
	port     func(port int) Answer
}

// Emulator is one program of QEMU.
type Emulator struct {
	Found    Answer
	Version  string // "7.2.22"; "" is not known
	Machines Names
	CPUs     Names
	Displays Names
	accel    func(name string) (Answer, string)
}

// Names are the names that a program accepts and refuses. An element that ends with * is
// the beginning of a name.
type Names struct {
	Accepted, Refused []string
	// Whole reports that Accepted lists all.
	Whole bool
}

// Has reports whether a name is accepted.
func (n Names) Has(name string) Answer {
	switch {
	case anyMatch(n.Accepted, name):
		return Yes
	case n.Whole, anyMatch(n.Refused, name):
		return No
	}
	return NotKnown
}

func anyMatch(patterns []string, name string) bool {
	for _, p := range patterns {
		if prefix, ok := strings.CutSuffix(p, "*"); ok && strings.HasPrefix(name, prefix) || p == name {
			return true
		}
	}
	return false
}

// Emulator describes the program of that name or path.
func (p *Platform) Emulator(ctx context.Context, binary string) Emulator {
	return p.emulator(ctx, binary)
}

// Accel reports whether an accelerator works, and why it does not.
func (e Emulator) Accel(name string) (Answer, string) {
	if e.accel == nil {
		return NotKnown, ""
	}
	return e.accel(name)
}

// File is what is known of a file.
type File struct {
	Found Answer
	Size  int64 // bytes; 0 is not known
}

// File returns what is known of a file. QEMU looks for a ROM, which -bios names, in its
// data folder too; for other files it does not.
func (p *Platform) File(name string, rom bool) File { return p.file(name, rom) }

// Port reports whether a TCP port of this computer is free.
func (p *Platform) Port(port int) Answer {
	if p.port == nil {
		return NotKnown
	}
	return p.port(port)
}

// GuestArch returns the architecture, as Go names it, that an emulator's name has; ""
// for others.
func GuestArch(binary string) string {
	name := strings.TrimSuffix(path.Base(strings.ReplaceAll(binary, `\`, "/")), ".exe")
	switch name {
	case "qemu-system-aarch64":
		return "arm64"
	case "qemu-system-x86_64":
		return "amd64"
	}
	return ""
}
