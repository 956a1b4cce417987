package debian

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"ingot/backend/family"
	"ingot/backend/family/linux"
	"ingot/backend/guest"
	"ingot/backend/target"
)

// packageLine matches dpkg's messages about a package: two for each.
var packageLine = regexp.MustCompile(`^(Unpacking|Setting up) `)

// BuildRootfs installs the locked packages into out/rootfs.tar. All kernels of the
// target share it.
func (Family) BuildRootfs(ctx context.Context, w *family.Work, out string) error {
	d, err := w.Open(ctx, "rootfs", scripts, "rootfs.sh")
	if err != nil {
		return err
	}
	defer d.Close(ctx)
	if err := putPackages(ctx, d, w.Lock.Rootfs); err != nil {
		return err
	}
	names := make([]string, len(w.Lock.Rootfs))
	for i, p := range w.Lock.Rootfs {
		names[i] = p.Name
	}
	sort.Strings(names)
	count := &family.LineCounter{Match: packageLine, Total: int64(2 * len(names)), Progress: w.Progress}
	vars := family.Env("DEB_ARCH", debArch(w.Recipe.Arch), "INCLUDE", strings.Join(names, ","),
		"EPOCH", strconv.FormatInt(epoch(w.Lock), 10), "SUITE", w.Lock.Suites[0].Suite)
	if err := d.Run(ctx, []string{"-c", "exec sh ./rootfs.sh 2>&1"}, vars, count); err != nil {
		return err
	}
	return d.Take(ctx, "rootfs.tar", filepath.Join(out, "rootfs.tar"))
}

// BuildTools writes the smoke checks' packages to out/tools.iso.
func (Family) BuildTools(ctx context.Context, w *family.Work, out string) error {
	d, err := w.Open(ctx, "tools", scripts, "tools.sh")
	if err != nil {
		return err
	}
	defer d.Close(ctx)
	if err := putPackages(ctx, d, w.Lock.Smoke); err != nil {
		return err
	}
	if err := d.Run(ctx, []string{"tools.sh"}, family.Env("EPOCH", strconv.FormatInt(epoch(w.Lock), 10)), nil); err != nil {
		return err
	}
	return d.Take(ctx, "out/tools.iso", filepath.Join(out, "tools.iso"))
}

// BuildDisk writes the disk. Its apt sources are the target's public archives.
func (Family) BuildDisk(ctx context.Context, w *family.Work, key string, in family.DiskInputs, out string) (family.Disk, error) {
	return linux.BuildDisk(ctx, w, linux.Extra{Epoch: epoch(w.Lock), Files: aptSources(w.Recipe)}, key, in, out)
}

func aptSources(r target.Recipe) []target.File {
	return []target.File{{Path: "/etc/apt/sources.list", Content: sourcesList(r)}}
}

// sourcesList returns the image's own sources.list, with the public archives.
func sourcesList(r target.Recipe) string {
	var b strings.Builder
	for _, a := range r.Archives {
		for _, s := range a.Suites {
			fmt.Fprintf(&b, "deb %s %s %s\n", a.URI, s, strings.Join(a.Components, " "))
		}
	}
	return b.String()
}

// putPackages copies locked packages to repo/*.deb in the work directory.
func putPackages(ctx context.Context, d *family.Dir, pkgs []target.LockedPackage) error {
	w := d.Work
	if err := w.Guest.Run(ctx, guest.Cmd{Argv: []string{"mkdir", "-p", path.Join(d.Path, "repo")}, Stdout: w.Log, Stderr: w.Log}); err != nil {
		return err
	}
	for _, p := range pkgs {
		src, err := w.Input(p)
		if err != nil {
			return err
		}
		if err := d.Put(ctx, src, "repo/"+filepath.Base(p.Filename)); err != nil {
			return fmt.Errorf("package %s: %w", p.Name, err)
		}
	}
	return nil
}
