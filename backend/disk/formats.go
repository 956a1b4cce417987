package disk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/disk/utm"
	"ingot/backend/home"
)

// Format is a file format of exports, made either from a system's disk or from
// the tar of its files. To add one, write a Format and add it to Formats.
type Format struct {
	Name      string // in recipes and on the command line
	Extension string // of files, without the first dot
	MediaType string // RFC 6838, for publishers
	Bootable  bool   // a machine can start from the file, so that it can be proved, run and named in templates

	// WriteDisk writes the file dst from a disk. It is nil if the format is not
	// made from a disk. If it fails, it removes the file. progress, which may
	// be nil, gets the number of source bytes done and in total.
	WriteDisk func(ctx context.Context, src Source, about About, dst string, progress func(done, total int64)) error
	// WriteTree writes the file dst from the tar of the system's files, with
	// the same rules.
	WriteTree func(ctx context.Context, tar, dst string) error
}

// About is what a format may say of the system on a disk.
type About struct {
	Name string // of a machine with the disk; "" is the name of the file
	Arch string // Go's name
}

// Formats lists all formats, for recipes, builds, the command line, verify and
// run. It must not be changed.
var Formats = []Format{
	{Name: "qcow2", Extension: "qcow2", MediaType: octets, Bootable: true, WriteDisk: func(ctx context.Context, src Source, _ About, dst string, progress func(done, total int64)) error {
		return Qcow2{Path: dst}.Take(ctx, src, progress)
	}},
	{Name: "raw", Extension: "raw", MediaType: octets, Bootable: true, WriteDisk: func(ctx context.Context, src Source, _ About, dst string, progress func(done, total int64)) error {
		return Raw{Path: dst}.Take(ctx, src, progress)
	}},
	{Name: "raw.zst", Extension: "raw.zst", MediaType: octets, WriteDisk: func(ctx context.Context, src Source, _ About, dst string, progress func(done, total int64)) error {
		return RawZst(ctx, src, dst, progress)
	}},
	{Name: "utm.zip", Extension: "utm.zip", MediaType: "application/zip", WriteDisk: func(ctx context.Context, src Source, about About, dst string, progress func(done, total int64)) error {
		return utmZip(ctx, src, about, dst, progress)
	}},
	{Name: "tar.zst", Extension: "tar.zst", MediaType: octets, WriteTree: TarZst},
}

const octets = "application/octet-stream"

// FormatNames returns the names of all formats, in the order of Formats.
func FormatNames() []string {
	names := make([]string, len(Formats))
	for i, f := range Formats {
		names[i] = f.Name
	}
	return names
}

// BootableNames returns the names of the bootable formats.
func BootableNames() (names []string) {
	for _, f := range Formats {
		if f.Bootable {
			names = append(names, f.Name)
		}
	}
	return names
}

// FormatError reports that there is no format of that name.
type FormatError struct{ Name string }

func (e *FormatError) Error() string {
	return fmt.Sprintf("there is no format %q; the formats are %s", e.Name, strings.Join(FormatNames(), ", "))
}

// ErrorClass sorts the error; see package cause.
func (*FormatError) ErrorClass() cause.Class { return cause.Input }

// FormatNamed returns the format with the name, or a *FormatError.
func FormatNamed(name string) (Format, error) {
	if i := slices.IndexFunc(Formats, func(f Format) bool { return f.Name == name }); i >= 0 {
		return Formats[i], nil
	}
	return Format{}, &FormatError{name}
}

// BootableFile reports whether a file has the extension of a bootable format.
func BootableFile(name string) bool {
	base := path.Base(name)
	return slices.ContainsFunc(Formats, func(f Format) bool { return f.Bootable && strings.HasSuffix(base, "."+f.Extension) })
}

// utmZip writes a bundle of UTM. The disk in it is a qcow2, which is beside dst meanwhile.
func utmZip(ctx context.Context, src Source, about About, dst string, progress func(done, total int64)) (err error) {
	disk := dst + ".disk.qcow2"
	if err := (Qcow2{Path: disk}).Take(ctx, src, progress); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(disk)) }()
	name := cmp.Or(about.Name, strings.TrimSuffix(filepath.Base(dst), ".utm.zip"))
	return home.CreateAtomic(dst, artifactMode, func(f *os.File) error {
		if err := utm.Write(ctx, f, name, about.Arch, disk); err != nil {
			return fmt.Errorf("export utm.zip: %w", err)
		}
		return nil
	})
}
