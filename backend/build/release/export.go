package release

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"ingot/backend/disk"
	"ingot/backend/disk/files"
	"ingot/backend/target"
)

// ArtifactName returns the name of the exported file of a format.
func ArtifactName(r target.Recipe, version, format string) string {
	extension := format
	if f, err := disk.FormatNamed(format); err == nil {
		extension = f.Extension
	}
	return fmt.Sprintf("%s-%s-%s-%s-%s.%s", r.OS, r.Release, r.Variant, r.Arch, version, extension)
}

// Write writes the file of one format to the folder dir, and computes its digests. made is
// the folder with the image step's files. digest returns the SHA-256 of a file.
func Write(ctx context.Context, r target.Recipe, made, dir, version, format string, digest func(file string) (string, error), progress func(done, total int64)) (Artifact, error) {
	name := ArtifactName(r, version, format)
	dst := filepath.Join(dir, name)
	if err := Export(ctx, format, disk.About{Arch: r.Arch}, filepath.Join(made, "disk.raw"), filepath.Join(made, "root.tar"), dst, progress); err != nil {
		return Artifact{}, err
	}
	f, err := os.Open(dst)
	if err != nil {
		return Artifact{}, err
	}
	defer f.Close()
	sum512 := sha512.New()
	n, err := io.Copy(sum512, f)
	if err != nil {
		return Artifact{}, fmt.Errorf("digest of %s: %w", name, err)
	}
	sum, err := digest(dst)
	return Artifact{Name: name, Format: format, SHA256: sum, SHA512: hex.EncodeToString(sum512.Sum(nil)), Size: n}, err
}

// Export writes a raw disk in a format, or the root tar in a format that is made from a
// tree; *disk.FormatError for an unknown one. If there is no root tar, it is made from the
// disk.
func Export(ctx context.Context, format string, about disk.About, rawDisk, rootTar, dst string, progress func(done, total int64)) error {
	f, err := disk.FormatNamed(format)
	if err != nil {
		return err
	}
	if _, err := os.Stat(rootTar); err == nil && f.WriteTree != nil {
		return f.WriteTree(ctx, rootTar, dst)
	}
	src, err := disk.OpenRaw(rawDisk)
	if err != nil {
		return err
	}
	defer src.Close()
	if f.WriteTree != nil {
		return WriteTree(ctx, f, src, dst)
	}
	return f.WriteDisk(ctx, src, about, dst, progress)
}

// WriteTree writes the root file system of a disk in a format that is made from a tree. Its
// tar is beside dst meanwhile.
func WriteTree(ctx context.Context, f disk.Format, src disk.Source, dst string) (err error) {
	tar := dst + ".root.tar"
	if err := files.RootTar(ctx, src, tar); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(tar)) }()
	return f.WriteTree(ctx, tar, dst)
}

// BesideDisk reports whether a format's file is additional to the disk that is proved:
// its documents have separate input keys, and the status row shows the disk.
func BesideDisk(format string) bool {
	f, err := disk.FormatNamed(format)
	return err == nil && !f.Bootable
}

// VersionOf returns the version under which a build's artifacts are exported and
// published: its id. The id is fixed before the build starts, so that a build that
// continues on another computer keeps its version, and no two builds have the same one.
func VersionOf(id string) string { return id }

// MinuteOf returns the version that earlier releases of Ingot gave to a build's
// artifacts: the minute of its id.
func MinuteOf(id string) string { return id[:min(len(id), len("20060102-1504"))] }
