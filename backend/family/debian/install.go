package debian

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"ingot/backend/family"
)

// InstallCommands returns the commands that install what a Debian or Ubuntu system
// lacks: tools, as MissingTools names them. They need root and DEBIAN_FRONTEND. Tools
// without a package, which no command installs, are left out.
func (Family) InstallCommands(tools []family.Tool) []string {
	pkgs := map[string]bool{}
	binfmt := false
	for _, t := range tools {
		if t.Package != "" {
			pkgs[t.Package] = true
		}
		binfmt = binfmt || strings.HasPrefix(t.Name, "binfmt:")
	}
	if pkgs["arch-test"] || pkgs["qemu-user-static"] {
		pkgs["binfmt-support"], binfmt = true, true
	}
	for compiler, headers := range map[string]string{"gcc-aarch64-linux-gnu": "libc6-dev-arm64-cross", "gcc-x86-64-linux-gnu": "libc6-dev-amd64-cross"} {
		if pkgs[compiler] {
			pkgs[headers] = true
		}
	}
	var cmds []string
	if names := slices.Sorted(maps.Keys(pkgs)); len(names) > 0 {
		cmds = append(cmds, "apt-get update", "apt-get install -y --no-install-recommends debian-archive-keyring "+strings.Join(names, " "))
	}
	for _, t := range tools {
		if user, ok := strings.CutPrefix(t.Name, family.SubIDs); ok && userName.MatchString(user) {
			cmds = append(cmds, fmt.Sprintf(addSubIDs, user))
		}
	}
	if binfmt {
		cmds = append(cmds, "sh -c 'mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc; update-binfmts --enable'")
	}
	return cmds
}

// addSubIDs is a command that gives a user the next 65536 subordinate ids, as useradd
// does for a new user.
const addSubIDs = `sh -c 'touch /etc/subuid /etc/subgid; n=$(awk -F: "BEGIN { n = 100000 } \$2 + \$3 > n { n = \$2 + \$3 } END { print n }" /etc/subuid /etc/subgid); usermod --add-subuids $n-$((n+65535)) --add-subgids $n-$((n+65535)) %s'`

// userName matches names that may be part of a command for root.
var userName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
