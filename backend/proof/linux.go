package proof

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"ingot/backend/dialogue"
	"ingot/backend/guest/notes"
	"ingot/backend/qemu"
	"ingot/backend/target"
)

// Linux is the dialect of a Linux distribution with cloud-init, sudo, bash and udev's
// links to disks by label.
type Linux struct{}

// Seed writes a NoCloud seed.
func (Linux) Seed(file string, checks []target.Check) (qemu.Account, error) {
	a := qemu.Account{User: "ingot-proof", Password: rand.Text()}
	return a, qemu.WriteSeed(file, a, checkFiles(checks))
}

// Prompts returns the prompts of agetty, login and sh.
func (Linux) Prompts() dialogue.Prompts { return dialogue.UnixPrompts }

// Quiet returns the command that turns off the terminal's echo and the prompt.
func (Linux) Quiet() string { return "stty -echo; PS1=; export PS1" }

var hexLine = regexp.MustCompile(`N:([0-9a-f]{24,}):`)
var releaseLine = regexp.MustCompile(`R:(\S+):`)

// Identity is the kernel release and the GNU build-id, which the kernel exports as an
// ELF note in /sys/kernel/notes.
func (Linux) Identity() Identity {
	return Identity{
		Asks: "uname -r", Proves: "kernel release and build-id",
		Command: `echo; echo "R:$(uname -r):"; echo "N:$(od -An -v -tx1 /sys/kernel/notes | tr -d ' \n'):"`,
		Read: func(out string, _ Kernel) (k Kernel) {
			if m := releaseLine.FindStringSubmatch(out); m != nil {
				k.Release = m[1]
			}
			if m := hexLine.FindStringSubmatch(strings.ReplaceAll(out, "\n", "")); m != nil {
				if raw, err := hex.DecodeString(m[1]); err == nil {
					k.BuildID = notes.BuildID(raw)
				}
			}
			return k
		},
		Of: func(k Kernel) Kernel { return Kernel{Release: k.Release, BuildID: k.BuildID} },
	}
}

const (
	toolsDir = "/run/ingot-tools"
	seedDir  = "/run/ingot-seed"
)

// Checks mounts both disks and runs each script as root with the tools in PATH.
func (Linux) Checks(n int) Checks {
	c := Checks{Mount: fmt.Sprintf("sudo -n mkdir -p %[1]s %[2]s && sudo -n mount -o ro /dev/disk/by-label/INGOT-TOOLS %[1]s && sudo -n mount -o ro /dev/disk/by-label/cidata %[2]s", toolsDir, seedDir)}
	for i := range n {
		const t = toolsDir
		c.Run = append(c.Run, fmt.Sprintf("sudo -n env TOOLS=%s PATH=%s/usr/sbin:%s/usr/bin:%s/sbin:%s/bin:$PATH:/usr/sbin:/sbin LD_LIBRARY_PATH=$(echo %s/usr/lib/*-linux-gnu*):$(echo %s/lib/*-linux-gnu*) bash %s/%s",
			t, t, t, t, t, t, t, seedDir, checkFile(i)))
	}
	return c
}

// checkFile returns a check's file name on the seed; a number needs no quoting.
func checkFile(i int) string { return fmt.Sprintf("check-%02d.sh", i) }

// checkFiles returns the scripts of the checks by their names on the seed.
func checkFiles(checks []target.Check) map[string]string {
	files := map[string]string{}
	for i, c := range checks {
		files[checkFile(i)] = "set -eu\n" + c.Run
	}
	return files
}
