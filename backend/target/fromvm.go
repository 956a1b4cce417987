package target

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"ingot/backend/sanitise"
)

// FromVM describes the recipe of a target that is made of a VM's disk.
type FromVM struct {
	Name, Instance, Title string
	OS, Release, Arch     string
	Kernel                string // target whose kernel is installed; "" keeps the VM's own
	Firmware              string // of the board; "" is the default
	Format                string // of the exported file; "" is qcow2
	CPUs                  int
	Sanitise              sanitise.Choice
}

// WriteFromVM writes the recipe to the user's folder, to be edited, and returns its file.
// It does not overwrite a file.
func (s *Set) WriteFromVM(d FromVM) (string, error) {
	file, err := s.newFile(d.Name)
	if err != nil {
		return "", err
	}
	firmware := ""
	if d.Firmware != "" {
		firmware = fmt.Sprintf("machine: {qemu: {firmware: %s}} # as the VM's\n", d.Firmware)
	}
	kernel := ""
	if d.Kernel != "" {
		kernel = ", kernel: " + strconv.Quote(d.Kernel)
	}
	text := fmt.Sprintf(fromVMText, d.Name, d.Instance, APIVersion, d.Title, d.OS, d.Release, d.Arch, firmware, d.CPUs, kernel, cmp.Or(d.Format, "qcow2"), sanitiseLine(d.Sanitise))
	var r Recipe
	if err := decodeStrict(file, []byte(text), &r); err != nil {
		return "", err
	}
	for _, p := range append(s.findKernel(&r, nil), r.validate(s.check)...) {
		return "", &Error{File: file, Key: p.Key, Msg: p.Msg}
	}
	if err := writeNew(file, text); err != nil {
		return "", fmt.Errorf("target %s: %w", d.Name, err)
	}
	return file, nil
}

// sanitiseLine returns the line of a recipe for the choice; "" for the choice that is made
// without one.
func sanitiseLine(c sanitise.Choice) string {
	var keys []string
	for _, k := range []struct {
		key string
		ids []string
	}{{"keep", c.Keep}, {"also", c.Also}} {
		if len(k.ids) > 0 {
			keys = append(keys, k.key+": ["+strings.Join(k.ids, ", ")+"]")
		}
	}
	if len(keys) == 0 {
		return ""
	}
	return "sanitise: {" + strings.Join(keys, ", ") + "}\n"
}

// fromVMText is the recipe, with the keys that are most often added.
const fromVMText = `# The target %[1]s: the disk of the Lima instance %[2]s, copied, changed, freed of what
# identifies the VM and its users, and booted. The VM itself is only read.
apiVersion: %[3]s
kind: Target
name: %[1]s
title: %[4]q
os: %[5]s
release: %[6]q
arch: %[7]s
variant: %[1]s # part of the published file's name
strategy: vm
vm: {lima: %[2]q%[10]s} # kernel: TARGET installs the kernel of another target
# changes:
#   packages: [htop]
#   files: [{path: /etc/motd, content: "hello\n"}]
#   commands: ["systemctl disable apt-daily.timer"]
%[12]sexport: {formats: [%[11]s]}
%[8]sproof:
  memory: 1GiB
  cpus: %[9]d
  deadlines: {firmware: 90s, loader: 60s, kernel: 120s, init: 300s, login: 300s, answer: 180s}
licence: {spdx: NOASSERTION, note: "software of %[5]s, and whatever was installed in the VM: check its licences before you publish"}
`
