package disk

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"ingot/backend/cause"
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
	WriteDisk func(ctx context.Context, src Source, dst string, progress func(done, total int64)) error
	// WriteTree writes the file dst from the tar of the system's files, with
	// the same rules.
	WriteTree func(ctx context.Context, tar, dst string) error
}

// Formats lists all formats, for recipes, builds, the command line, verify and
// run. It must not be changed.
var Formats = []Format{
	{Name: "qcow2", Extension: "qcow2", MediaType: octets, Bootable: true, WriteDisk: func(ctx context.Context, src Source, dst string, progress func(done, total int64)) error {
		return Qcow2{Path: dst}.Take(ctx, src, progress)
	}},
	{Name: "raw", Extension: "raw", MediaType: octets, Bootable: true, WriteDisk: func(ctx context.Context, src Source, dst string, progress func(done, total int64)) error {
		return Raw{Path: dst}.Take(ctx, src, progress)
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
