package image

import (
	"context"
	"fmt"
	"io"
	"strings"

	"ingot/backend/guest"
	"ingot/backend/target"
)

// Tool is a program that the guest needs, with Debian's package of it.
type Tool struct {
	Name    string `json:"name"`
	Package string `json:"package"`
	Why     string `json:"why"`
}

// Tools lists what the kernel and image steps of a recipe need in a guest.
func Tools(r target.Recipe, guestArch string, root bool) []Tool {
	ts := []Tool{
		{"make", "make", "the kernel's build"}, {"gcc", "gcc", "the kernel's build tools"}, {"flex", "flex", "the kernel's configuration"},
		{"bison", "bison", "the kernel's configuration"}, {"bc", "bc", "the kernel's build"}, {"xz", "xz-utils", "unpacking the kernel source"},
		{"perl", "perl", "the kernel's build"}, {"ccache", "ccache", "building the kernel again in a minute"}, {"depmod", "kmod", "the kernel's modules"},
		{"dpkg-scanpackages", "dpkg-dev", "the repository of locked packages"}, {"mmdebstrap", "mmdebstrap", "the root file system"},
		{"mke2fs", "e2fsprogs", "the ext4 root file system"}, {"mkfs.vfat", "dosfstools", "the EFI system partition"}, {"mcopy", "mtools", "the EFI system partition"},
		{"sfdisk", "fdisk", "the partition table"}, {"genisoimage", "genisoimage", "the disk of the smoke checks"},
	}
	if guestArch != r.Arch {
		ts = append(ts, Tool{r.Kernel.CrossCompile + "gcc", crossPackage(r.Kernel.CrossCompile), "compiling for " + r.Arch},
			Tool{"arch-test", "arch-test", "seeing whether " + r.Arch + " programs run here"},
			Tool{qemuUser(r.Arch), "qemu-user-static", "running " + r.Arch + " package scripts"})
	}
	if !root {
		ts = append(ts, Tool{"newuidmap", "uidmap", "a user namespace with many users"}, Tool{"unshare", "util-linux", "a user namespace"})
	}
	return ts
}

// crossPackage is Debian's name for the compiler of a prefix; package names have
// no underscores.
func crossPackage(prefix string) string {
	return "gcc-" + strings.ReplaceAll(strings.TrimSuffix(prefix, "-"), "_", "-")
}

func qemuUser(arch string) string {
	return map[string]string{"arm64": "qemu-aarch64-static", "amd64": "qemu-x86_64-static"}[arch]
}

// headers are files that the kernel's build tools include; apt's package of
// each brings them.
var headers = []Tool{{"/usr/include/openssl/opensslv.h", "libssl-dev", "the kernel's build tools"}, {"/usr/include/libelf.h", "libelf-dev", "the kernel's build tools"}}

// SubIDs begins the name of what a user lacks who was made before newuidmap was
// there, and so got no subordinate ids from useradd; the user's name follows.
const SubIDs = "subids:"

// MissingTools returns what the guest lacks; nothing when all is there.
func MissingTools(ctx context.Context, g guest.Guest, f guest.Facts, r target.Recipe) ([]Tool, error) {
	all := append(Tools(r, f.Arch, f.Root), headers...)
	var script strings.Builder
	script.WriteString("PATH=$PATH:/usr/sbin:/sbin\n")
	for i, t := range all {
		check := "command -v " + t.Name
		if strings.HasPrefix(t.Name, "/") {
			check = "test -e " + t.Name
		}
		fmt.Fprintf(&script, "%s >/dev/null 2>&1 || echo %d\n", check, i)
	}
	if f.Arch != r.Arch {
		fmt.Fprintf(&script, "if command -v arch-test >/dev/null; then arch-test %s >/dev/null 2>&1 || echo binfmt; fi\n", debArch(r.Arch))
	}
	if !f.Root {
		script.WriteString(`me=$(id -un)
if unshare --map-root-user --map-auto --mount true; then :
elif grep -q "^$me:" /etc/subuid && grep -q "^$me:" /etc/subgid; then echo userns
else echo subids:$me
fi
`)
	}
	var out strings.Builder
	if err := g.Run(ctx, guest.Cmd{Argv: []string{"sh", "-c", script.String()}, Stdout: &out, Stderr: io.Discard}); err != nil {
		return nil, fmt.Errorf("look for tools in guest %s: %w", g.Name(), err)
	}
	var missing []Tool
	for _, word := range strings.Fields(out.String()) {
		var i int
		switch {
		case strings.HasPrefix(word, SubIDs):
			missing = append(missing, Tool{word, "", "a user namespace with many users: this user needs a line in /etc/subuid and /etc/subgid"})
		case word == "binfmt":
			missing = append(missing, Tool{"binfmt:" + r.Arch, "binfmt-support", r.Arch + " programs do not run here: binfmt_misc has no handler for them"})
		case word == "userns":
			missing = append(missing, Tool{"userns", "", "user namespaces are restricted for this user: as root, sysctl -w kernel.unprivileged_userns_clone=1 (Debian) or kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)"})
		default:
			if _, err := fmt.Sscan(word, &i); err == nil && i < len(all) {
				missing = append(missing, all[i])
			}
		}
	}
	return missing, nil
}

// CheckFragments reads the fragments and returns how many symbols they set.
func CheckFragments(fragments []Fragment) (int, error) {
	wanted, err := mergeFragments(fragments)
	return len(wanted), err
}
