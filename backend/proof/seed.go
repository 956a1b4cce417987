package proof

import (
	"crypto/rand"
	"fmt"
	"os"

	diskfs "github.com/diskfs/go-diskfs"
	"github.com/diskfs/go-diskfs/disk"
	"github.com/diskfs/go-diskfs/filesystem"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
	"github.com/goccy/go-yaml"

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

// Login is who may log in to a machine that is started for a person: with a key,
// never a password. HostKey is the machine's private ed25519 key in OpenSSH's
// format, so that a client knows whom it talks to.
type Login struct {
	Hostname, User string
	Keys           []string // lines of authorized_keys
	HostKey        string
	HostPublic     string // line of HostKey's public half
}

// WriteLoginSeed makes a NoCloud seed for it (cloud-init's users and ssh_keys).
// User and Keys must hold no line ends.
func WriteLoginSeed(file string, l Login) error {
	user, err := yaml.Marshal(map[string]any{
		"hostname": l.Hostname,
		"users":    []any{map[string]any{"name": l.User, "shell": "/bin/bash", "sudo": "ALL=(ALL) NOPASSWD:ALL", "lock_passwd": true, "ssh_authorized_keys": l.Keys}},
		"ssh_keys": map[string]string{"ed25519_private": l.HostKey, "ed25519_public": l.HostPublic},
	})
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	meta := fmt.Sprintf("instance-id: ingot-%s\nlocal-hostname: %s\n", rand.Text(), l.Hostname)
	return writeISO(file, "cidata", map[string]string{"meta-data": meta, "user-data": "#cloud-config\n" + string(user)})
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
