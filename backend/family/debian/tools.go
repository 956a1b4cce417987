package debian

import (
	"context"
	"fmt"
	"io"
	"strings"

	"ingot/backend/family"
	"ingot/backend/guest"
	"ingot/backend/target"
)

// tool returns a program with its Debian package.
func tool(name, pkg, why string) family.Tool {
	return family.Tool{Name: name, Package: pkg, Why: why}
}

// stepTools are the programs that the script of each step calls in every guest, by the
// step's name. They enter the step's key.
var stepTools = map[string][]family.Tool{
	family.StepKernel: {
		tool("make", "make", "the kernel's build"), tool("gcc", "gcc", "the kernel's build tools"), tool("flex", "flex", "the kernel's configuration"),
		tool("bison", "bison", "the kernel's configuration"), tool("bc", "bc", "the kernel's build"), tool("xz", "xz-utils", "unpacking the kernel source"),
		tool("perl", "perl", "the kernel's build"), tool("ccache", "ccache", "building the kernel again in a minute"), tool("depmod", "kmod", "the kernel's modules"),
		tool("/usr/include/openssl/opensslv.h", "libssl-dev", "the kernel's build tools"), tool("/usr/include/libelf.h", "libelf-dev", "the kernel's build tools"),
	},
	family.StepRootfs: {tool("dpkg-scanpackages", "dpkg-dev", "the repository of locked packages"), tool("mmdebstrap", "mmdebstrap", "the root file system")},
	family.StepImage: {
		tool("mke2fs", "e2fsprogs", "the ext4 root file system"), tool("mkfs.vfat", "dosfstools", "the EFI system partition"), tool("mcopy", "mtools", "the EFI system partition"),
		tool("sfdisk", "fdisk", "the partition table"),
	},
	family.StepTools: {tool("genisoimage", "genisoimage", "the disk of the smoke checks")},
}

// tools returns what the kernel and image steps of a recipe need in a guest of an
// architecture; root reports whether Ingot is root there.
func tools(r target.Recipe, guestArch string, root bool) []family.Tool {
	var ts []family.Tool
	for _, step := range []string{family.StepKernel, family.StepRootfs, family.StepImage, family.StepTools} {
		ts = append(ts, stepTools[step]...)
	}
	if guestArch != r.Arch {
		ts = append(ts, tool(r.Kernel.CrossCompile+"gcc", crossPackage(r.Kernel.CrossCompile), "compiling for "+r.Arch),
			tool("arch-test", "arch-test", "seeing whether "+r.Arch+" programs run here"),
			tool(qemuUser(r.Arch), "qemu-user-static", "running "+r.Arch+" package scripts"))
	}
	if !root {
		ts = append(ts, tool("newuidmap", "uidmap", "a user namespace with many users"), tool("unshare", "util-linux", "a user namespace"))
	}
	return ts
}

// crossPackage returns Debian's package of the compiler for a prefix; package names
// have no underscores.
func crossPackage(prefix string) string {
	return "gcc-" + strings.ReplaceAll(strings.TrimSuffix(prefix, "-"), "_", "-")
}

func qemuUser(arch string) string {
	return map[string]string{"arm64": "qemu-aarch64-static", "amd64": "qemu-x86_64-static"}[arch]
}

// MissingTools returns what the guest lacks; nil if nothing is missing.
func (Family) MissingTools(ctx context.Context, g guest.Guest, f guest.Facts, r target.Recipe) ([]family.Tool, error) {
	all := tools(r, f.Arch, f.Root)
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
	var missing []family.Tool
	for _, word := range strings.Fields(out.String()) {
		var i int
		switch {
		case strings.HasPrefix(word, family.SubIDs):
			missing = append(missing, tool(word, "", "a user namespace with many users: this user needs a line in /etc/subuid and /etc/subgid"))
		case word == "binfmt":
			missing = append(missing, tool("binfmt:"+r.Arch, "binfmt-support", r.Arch+" programs do not run here: binfmt_misc has no handler for them"))
		case word == "userns":
			missing = append(missing, tool("userns", "", "user namespaces are restricted for this user: as root, sysctl -w kernel.unprivileged_userns_clone=1 (Debian) or kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)"))
		default:
			if _, err := fmt.Sscan(word, &i); err == nil && i < len(all) {
				missing = append(missing, all[i])
			}
		}
	}
	return missing, nil
}
