package proof

import (
	"crypto/rand"
	"fmt"
	"os"

	diskfs "github.com/diskfs/go-diskfs"
	"github.com/diskfs/go-diskfs/disk"
	"github.com/diskfs/go-diskfs/filesystem"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"

	"ingot/backend/target"
)

// account is the user that the seed makes in the proof's guest. The password
// lives as long as the overlay, which is thrown away.
type account struct{ user, password string }

func newAccount() account { return account{"ingot-proof", rand.Text()} }

// writeSeed makes a NoCloud seed (cloud-init's NoCloud data source: a volume
// labelled "cidata" with user-data and meta-data) that also carries the smoke
// checks' scripts.
func writeSeed(file string, a account, checks []target.Check) error {
	files := map[string]string{
		"meta-data": "instance-id: ingot-proof\nlocal-hostname: proof\n",
		"user-data": fmt.Sprintf("#cloud-config\nusers:\n  - name: %s\n    lock_passwd: false\n    plain_text_passwd: %s\n    shell: /bin/sh\n    sudo: ALL=(ALL) NOPASSWD:ALL\n", a.user, a.password),
	}
	for i, c := range checks {
		files[checkFile(i)] = "set -eu\n" + c.Run
	}
	return writeISO(file, "cidata", files)
}

// checkFile is a check's file name on the seed; numbers keep it plain.
func checkFile(i int) string { return fmt.Sprintf("check-%02d.sh", i) }

// isoSize bounds the working image; a seed is a few KiB.
const isoSize = 4 << 20

func writeISO(file, label string, files map[string]string) error {
	d, err := diskfs.Create(file, isoSize, diskfs.SectorSizeDefault)
	if err != nil {
		return err
	}
	defer d.Close()
	d.LogicalBlocksize = 2048 // ISO 9660's sector
	fs, err := d.CreateFilesystem(disk.FilesystemSpec{FSType: filesystem.TypeISO9660, VolumeLabel: label})
	if err != nil {
		return err
	}
	for name, text := range files {
		f, err := fs.OpenFile(name, os.O_CREATE|os.O_RDWR)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	iso, ok := fs.(*iso9660.FileSystem)
	if !ok {
		return fmt.Errorf("%s: not an ISO 9660 file system", file)
	}
	return iso.Finalize(iso9660.FinalizeOptions{RockRidge: true, Joliet: true, VolumeIdentifier: label})
}
