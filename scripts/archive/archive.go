// Package archive writes the archives of a release: the same input gives the same bytes.
package archive

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"regexp"
	"time"
)

// Version matches a version of a release, which macOS wants as three numbers.
var Version = regexp.MustCompile(`^\d+\.\d+\.\d+$`)

// File is a file of an archive.
type File struct {
	Name string // its path in the archive
	Mode int64
	Data []byte
}

// TarGz writes the files in their order as a gzipped tar, all with the time at.
func TarGz(w io.Writer, at time.Time, files []File) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	for _, f := range files {
		if err := t.WriteHeader(&tar.Header{Name: f.Name, Mode: f.Mode, Size: int64(len(f.Data)), ModTime: at, Format: tar.FormatPAX}); err != nil {
			return err
		}
		if _, err := t.Write(f.Data); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}
