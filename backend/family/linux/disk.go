package linux

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ingot/backend/family"
	"ingot/backend/target"
)

const (
	sector     = 512
	firstBytes = 1 << 20 // offset of the first partition
	tailBytes  = 1 << 20 // the backup GPT, rounded up
)

// Extra is what a family adds to the disk beyond recipe and inputs.
type Extra struct {
	Epoch int64         // seconds of Unix time for the disk's times; e2fsprogs treats 0 as unset
	Files []target.File // added to the root file system before the recipe's files
}

// BuildDisk implements family.Composer.
func BuildDisk(ctx context.Context, w *family.Work, extra Extra, key string, in family.DiskInputs, out string) (family.Disk, error) {
	d, err := w.Open(ctx, "disk", scripts, stepScripts[family.StepImage]...)
	if err != nil {
		return family.Disk{}, err
	}
	defer d.Close(ctx)
	if err := putDiskInputs(ctx, d, extra, in); err != nil {
		return family.Disk{}, err
	}
	disk := family.Disk{RootPartUUID: deriveUUID(key, "root-part"), Size: int64(w.Recipe.Disk.Size)}
	if err := d.Run(ctx, []string{"disk.sh"}, diskEnv(w.Recipe.Disk, extra.Epoch, key, in, disk), nil); err != nil {
		return disk, err
	}
	if err := takeOutput(ctx, d, "disk.raw", out); err != nil {
		return disk, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return in.Whole(filepath.Join(out, "disk.raw")) })
	g.Go(func() error { return contents(ctx, d, w.Recipe.Disk.Loader, in.RootTar, out) })
	if err := g.Wait(); err != nil {
		return disk, err
	}
	return disk, checkTree(filepath.Join(out, "disk.raw"), filepath.Join(out, family.TreeFile))
}

// contents writes the list of the files of disk.sh's tree, and packs the tree if
// requested.
func contents(ctx context.Context, d *family.Dir, loader string, rootTar bool, out string) error {
	files, packed := []string{family.TreeFile}, "no"
	if rootTar {
		files, packed = append(files, "root.tar"), "yes"
	}
	if err := d.Run(ctx, []string{"contents.sh"}, family.Env("LOADER", loader, "ROOT_TAR", packed), nil); err != nil {
		return err
	}
	for _, f := range files {
		if err := takeOutput(ctx, d, f, out); err != nil {
			return err
		}
	}
	return nil
}

func takeOutput(ctx context.Context, d *family.Dir, name, out string) error {
	if err := d.Take(ctx, "out/"+name, filepath.Join(out, name)); err != nil {
		return fmt.Errorf("image output %s: %w", name, err)
	}
	return nil
}

func putDiskInputs(ctx context.Context, d *family.Dir, extra Extra, in family.DiskInputs) error {
	for name, src := range map[string]string{"rootfs.tar": in.Rootfs, "vmlinuz": in.Vmlinuz, "config": in.Config, "modules.tar": in.Modules} {
		if err := d.Put(ctx, src, name); err != nil {
			return fmt.Errorf("image input %s: %w", name, err)
		}
	}
	overlay, err := overlayTar(extra.Files, d.Work.Recipe.Rootfs, time.Unix(extra.Epoch, 0))
	if err != nil {
		return err
	}
	if err := d.Write(ctx, "overlay.tar", overlay, 0o644); err != nil {
		return err
	}
	return d.Write(ctx, "remove.txt", []byte(strings.Join(d.Work.Recipe.Rootfs.Remove, "\n")+"\n"), 0o644)
}

func diskEnv(r target.Disk, epoch int64, key string, in family.DiskInputs, disk family.Disk) []string {
	rootBytes := int64(r.Size) - int64(r.ESP) - firstBytes - tailBytes
	fat := deriveUUID(key, "fat")
	return family.Env("RELEASE", in.Release, "LOADER", r.Loader, "EFINAME", r.EFIName, "CMDLINE", r.Cmdline,
		"EPOCH", strconv.FormatInt(epoch, 10),
		"ESP_SECTORS", strconv.FormatInt(int64(r.ESP)/sector, 10),
		"ROOT_SECTORS", strconv.FormatInt(rootBytes/sector, 10),
		"DISK_BYTES", strconv.FormatInt(int64(r.Size), 10),
		"DISK_UUID", deriveUUID(key, "disk"), "ESP_UUID", deriveUUID(key, "esp-part"),
		"ROOT_PARTUUID", disk.RootPartUUID, "ROOT_FSUUID", deriveUUID(key, "root-fs"),
		"HASH_SEED", deriveUUID(key, "hash-seed"), "FAT_ID", fat[:8])
}

// overlayTar packs the family's files, and the recipe's files and links, owned by root.
func overlayTar(first []target.File, r target.Rootfs, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	for _, f := range slices.Concat(first, r.Files) {
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
	for _, l := range r.Links {
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

// deriveUUID derives a UUID (RFC 9562 version 8) from a key and a label.
func deriveUUID(key, label string) string {
	sum := sha256.Sum256([]byte("ingot-uuid\x00" + key + "\x00" + label))
	b := sum[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}
