package image

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ingot/backend/target"
)

// packageLine is dpkg's word on one package, said twice for each.
var packageLine = regexp.MustCompile(`^(Unpacking|Setting up) `)

// BuildRootfs installs the locked packages into out/rootfs.tar: the base that
// all kernels of the target share.
func BuildRootfs(ctx context.Context, w *Work, out string) error {
	d, err := w.open(ctx, "rootfs", "rootfs.sh")
	if err != nil {
		return err
	}
	defer d.close(ctx)
	if err := d.putPackages(ctx, w.Lock.Rootfs); err != nil {
		return err
	}
	names := make([]string, len(w.Lock.Rootfs))
	for i, p := range w.Lock.Rootfs {
		names[i] = p.Name
	}
	sort.Strings(names)
	count := &lineCounter{match: packageLine, total: int64(2 * len(names)), progress: w.Progress}
	vars := env("DEB_ARCH", debArch(w.Recipe.Arch), "INCLUDE", strings.Join(names, ","),
		"EPOCH", strconv.FormatInt(Epoch(w.Lock), 10), "SUITE", w.Lock.Suites[0].Suite)
	if err := d.run(ctx, []string{"-c", "exec sh ./rootfs.sh 2>&1"}, vars, count); err != nil {
		return err
	}
	return d.take(ctx, "rootfs.tar", filepath.Join(out, "rootfs.tar"))
}

// BuildTools makes out/tools.iso with the smoke checks' packages.
func BuildTools(ctx context.Context, w *Work, out string) error {
	d, err := w.open(ctx, "tools", "tools.sh")
	if err != nil {
		return err
	}
	defer d.close(ctx)
	if err := d.putPackages(ctx, w.Lock.Smoke); err != nil {
		return err
	}
	if err := d.run(ctx, []string{"tools.sh"}, env("EPOCH", strconv.FormatInt(Epoch(w.Lock), 10)), nil); err != nil {
		return err
	}
	return d.take(ctx, "out/tools.iso", filepath.Join(out, "tools.iso"))
}

// DiskInputs are the files that BuildDisk puts together, on this computer.
type DiskInputs struct {
	Rootfs, Vmlinuz, Config, Modules string
	Release                          string // of the kernel
	RootTar                          bool   // also make root.tar, for the tar.zst artifact

	// Whole is told the disk's file as soon as that has all its bytes, which its
	// reader may take in while the contents are listed. Its error ends the work.
	Whole func(file string) error
}

// Disk is a made disk: out/disk.raw and out/tree.txt, and out/root.tar where
// asked.
type Disk struct {
	RootPartUUID string `json:"rootPartUuid"`
	Size         int64  `json:"size"`
}

const (
	sector     = 512
	firstBytes = 1 << 20 // the first partition's offset
	tailBytes  = 1 << 20 // the backup GPT, rounded up
)

// TreeFile lists every file of the disk with its fields; see Compare.
const TreeFile = "tree.txt"

// BuildDisk lays out the disk. key is the step's input key; all identifiers of
// disk and file systems are derived from it.
func BuildDisk(ctx context.Context, w *Work, key string, in DiskInputs, out string) (Disk, error) {
	d, err := w.open(ctx, "disk", "disk.sh", "contents.sh")
	if err != nil {
		return Disk{}, err
	}
	defer d.close(ctx)
	if err := w.putDiskInputs(ctx, d, in); err != nil {
		return Disk{}, err
	}
	disk := Disk{RootPartUUID: deriveUUID(key, "root-part"), Size: int64(w.Recipe.Disk.Size)}
	if err := d.run(ctx, []string{"disk.sh"}, w.diskEnv(key, in, disk), nil); err != nil {
		return disk, err
	}
	if err := d.takeOutput(ctx, "disk.raw", out); err != nil {
		return disk, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return in.Whole(filepath.Join(out, "disk.raw")) })
	g.Go(func() error { return d.contents(ctx, w.Recipe.Disk.Loader, in.RootTar, out) })
	return disk, g.Wait()
}

// contents lists the tree that disk.sh left, and packs it where asked.
func (d *dir) contents(ctx context.Context, loader string, rootTar bool, out string) error {
	files, packed := []string{TreeFile}, "no"
	if rootTar {
		files, packed = append(files, "root.tar"), "yes"
	}
	if err := d.run(ctx, []string{"contents.sh"}, env("LOADER", loader, "ROOT_TAR", packed), nil); err != nil {
		return err
	}
	for _, f := range files {
		if err := d.takeOutput(ctx, f, out); err != nil {
			return err
		}
	}
	return nil
}

func (d *dir) takeOutput(ctx context.Context, name, out string) error {
	if err := d.take(ctx, "out/"+name, filepath.Join(out, name)); err != nil {
		return fmt.Errorf("image output %s: %w", name, err)
	}
	return nil
}

func (w *Work) putDiskInputs(ctx context.Context, d *dir, in DiskInputs) error {
	for name, src := range map[string]string{"rootfs.tar": in.Rootfs, "vmlinuz": in.Vmlinuz, "config": in.Config, "modules.tar": in.Modules} {
		if err := d.put(ctx, src, name); err != nil {
			return fmt.Errorf("image input %s: %w", name, err)
		}
	}
	overlay, err := overlayTar(w.Recipe, time.Unix(Epoch(w.Lock), 0))
	if err != nil {
		return err
	}
	if err := d.write(ctx, "overlay.tar", overlay, 0o644); err != nil {
		return err
	}
	return d.write(ctx, "remove.txt", []byte(strings.Join(w.Recipe.Rootfs.Remove, "\n")+"\n"), 0o644)
}

func (w *Work) diskEnv(key string, in DiskInputs, disk Disk) []string {
	r := w.Recipe.Disk
	rootBytes := int64(r.Size) - int64(r.ESP) - firstBytes - tailBytes
	fat := deriveUUID(key, "fat")
	return env("RELEASE", in.Release, "LOADER", r.Loader, "EFINAME", r.EFIName, "CMDLINE", r.Cmdline,
		"EPOCH", strconv.FormatInt(Epoch(w.Lock), 10),
		"ESP_SECTORS", strconv.FormatInt(int64(r.ESP)/sector, 10),
		"ROOT_SECTORS", strconv.FormatInt(rootBytes/sector, 10),
		"DISK_BYTES", strconv.FormatInt(int64(r.Size), 10),
		"DISK_UUID", deriveUUID(key, "disk"), "ESP_UUID", deriveUUID(key, "esp-part"),
		"ROOT_PARTUUID", disk.RootPartUUID, "ROOT_FSUUID", deriveUUID(key, "root-fs"),
		"HASH_SEED", deriveUUID(key, "hash-seed"), "FAT_ID", fat[:8])
}

// overlayTar packs the recipe's files and links, owned by root, and the apt
// sources of the target's public archives.
func overlayTar(r target.Recipe, at time.Time) ([]byte, error) {
	files := append([]target.File{{Path: "/etc/apt/sources.list", Content: sourcesList(r)}}, r.Rootfs.Files...)
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	for _, f := range files {
		mode := int64(0o644)
		if f.Mode != "" {
			m, err := strconv.ParseInt(f.Mode, 8, 32)
			if err != nil {
				return nil, fmt.Errorf("file %s: mode %q: %w", f.Path, f.Mode, err)
			}
			mode = m
		}
		h := &tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Mode: mode, Size: int64(len(f.Content)), ModTime: at, Typeflag: tar.TypeReg}
		if err := t.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("file %s: %w", f.Path, err)
		}
		if _, err := t.Write([]byte(f.Content)); err != nil {
			return nil, fmt.Errorf("file %s: %w", f.Path, err)
		}
	}
	for _, l := range r.Rootfs.Links {
		h := &tar.Header{Name: strings.TrimPrefix(l.Path, "/"), Linkname: l.To, ModTime: at, Mode: 0o777, Typeflag: tar.TypeSymlink}
		if err := t.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("link %s: %w", l.Path, err)
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// sourcesList is the image's own apt sources: the public archives.
func sourcesList(r target.Recipe) string {
	var b strings.Builder
	for _, a := range r.Archives {
		for _, s := range a.Suites {
			fmt.Fprintf(&b, "deb %s %s %s\n", a.URI, s, strings.Join(a.Components, " "))
		}
	}
	return b.String()
}
