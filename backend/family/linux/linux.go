// Package linux holds what all Linux families share: the kernel with its configuration,
// the disk, the comparison of two outputs, and changes of a running system, which are
// the installation of a kernel and sanitising.
//
// External facts: the GPT types of the Discoverable Partitions Specification,
// systemd-boot's entries (Boot Loader Specification, type 1).
package linux

import (
	"embed"
	"fmt"

	"ingot/backend/family"
	"ingot/backend/target"
)

//go:embed scripts/*.sh
var scripts embed.FS

// stepScripts are the scripts that each step runs in the guest.
var stepScripts = map[string][]string{
	family.StepKernel: {"kernel.sh"}, family.StepImage: {"disk.sh", "contents.sh"},
}

// StepInputs returns the part of the inputs of the steps kernel and image that this
// package determines; programs are those that the step's scripts call.
func StepInputs(step string, programs []family.Tool) map[string]string {
	return family.StepInputs(scripts, stepScripts[step], programs)
}

// System is a running Linux of any distribution. Linux families embed it.
type System struct{}

var _ family.System = System{}

// OS returns "linux".
func (System) OS() string { return "linux" }

// ChangeInputs returns the text of the scripts that change a running system, and the rules
// of what is taken out of it.
func (s System) ChangeInputs() map[string]string {
	inputs := family.StepInputs(scripts, []string{"sanitise.sh", "install.sh"}, nil)
	if rules, err := s.SanitiseRules(); err == nil { // of the program itself: the error shows when they are applied
		inputs["rules of sanitise"] = rules.Digest()
	}
	return inputs
}

// Check returns what a recipe lacks for the kernel and disk of a Linux.
func Check(r target.Recipe) (ps []target.Problem) {
	ps = append(ps, target.Required("$.kernel.configs", "kernel.configs", len(r.Kernel.Configs) == 0)...)
	ps = append(ps, target.Required("$.kernel.image", "kernel.image", r.Kernel.Image == "")...)
	ps = append(ps, target.Required("$.disk.loader", "disk.loader", r.Disk.Loader == "")...)
	if r.Disk.Size < r.Disk.ESP+(256<<20) {
		ps = append(ps, target.Problem{Path: "$.disk.size", Key: "disk.size", Msg: fmt.Sprintf("%s is too small for a root file system beside an ESP of %s; accepted: ESP + 256MiB or more", r.Disk.Size, r.Disk.ESP)})
	}
	if r.Disk.ESP < 34<<20 {
		ps = append(ps, target.Problem{Path: "$.disk.esp", Key: "disk.esp", Msg: fmt.Sprintf("%s is too small for FAT32; accepted: 34MiB or more", r.Disk.ESP)})
	}
	return ps
}
