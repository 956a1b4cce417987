package qemu

import (
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"os"

	diskfs "github.com/diskfs/go-diskfs"
	"github.com/diskfs/go-diskfs/disk"
	"github.com/diskfs/go-diskfs/filesystem"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
	"github.com/goccy/go-yaml"
)

// Account is a user that a seed creates, with a password for the console.
type Account struct{ User, Password string }

// WriteSeed writes a NoCloud seed (cloud-init's NoCloud data source: a volume labelled
// "cidata" with user-data and meta-data) that creates the account. It adds files, which
// maps names to text. User and Password must be plain YAML scalars.
func WriteSeed(file string, a Account, files map[string]string) error {
	all := map[string]string{
		"meta-data": "instance-id: ingot-proof\nlocal-hostname: proof\n",
		"user-data": fmt.Sprintf("#cloud-config\nusers:\n  - name: %s\n    lock_passwd: false\n    plain_text_passwd: %s\n    shell: /bin/sh\n    sudo: ALL=(ALL) NOPASSWD:ALL\n", a.User, a.Password),
	}
	maps.Copy(all, files)
	return WriteISO(file, "cidata", all)
}

// Login is the access to a machine for interactive use: by a key, never by a password.
// HostKey is the machine's private ed25519 key in OpenSSH's format, so that the client
// can verify the machine.
type Login struct {
	Hostname, User string
	Keys           []string // lines of authorized_keys
	HostKey        string
	HostPublic     string // authorized_keys line of HostKey's public half
}

// WriteLoginSeed writes a NoCloud seed for the login (cloud-init's users and ssh_keys).
// User and Keys must not contain line breaks.
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
	return WriteISO(file, "cidata", map[string]string{"meta-data": meta, "user-data": "#cloud-config\n" + string(user)})
}

// isoSize is the size in bytes of WriteISO's working image; a seed has a few KiB.
const isoSize = 4 << 20

// WriteISO writes a small ISO 9660 image. files maps the names of files in its root to
// their text.
func WriteISO(file, label string, files map[string]string) error {
	d, err := diskfs.Create(file, isoSize, diskfs.SectorSizeDefault)
	if err != nil {
		return err
	}
	defer d.Close()
	d.LogicalBlocksize = 2048 // ISO 9660's sector size
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

// readLimit bounds the files that ReadISO reads, in bytes.
const readLimit = 1 << 20

// ReadISO returns the text of a file in the root of an ISO 9660 image, such as a NoCloud
// seed; fs.ErrNotExist if there is none.
func ReadISO(file, name string) (string, error) {
	d, err := diskfs.Open(file, diskfs.WithOpenMode(diskfs.ReadOnly))
	if err != nil {
		return "", err
	}
	defer d.Close()
	d.LogicalBlocksize = 2048
	fs, err := d.GetFilesystem(0)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	f, err := fs.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return "", fmt.Errorf("%s: %s: %w", file, name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, readLimit))
	if err != nil {
		return "", fmt.Errorf("%s: %s: %w", file, name, err)
	}
	return string(text), nil
}
