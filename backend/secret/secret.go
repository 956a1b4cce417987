// Package secret stores keys and credentials.
//
// A Store is the OS keychain, or a folder of files with mode 0600 if no
// keychain is available. A Signer is the home's Ed25519 key. It signs evidence
// (DSSE) and checksum lists (minisign), so one public key verifies both. No
// secret of this package may be written to a log, an argument list or evidence.
package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ingot/backend/limit"
)

// ErrNotFound reports that the store does not have the secret.
var ErrNotFound = errors.New("no such secret")

// Store stores secrets by name. Create stores a secret only if there is none of
// that name, and returns the one that is stored afterwards, so that two
// processes get the same.
type Store interface {
	Get(name string) ([]byte, error)
	Put(name string, value []byte) error
	Create(name string, value []byte) ([]byte, error)
	Where() string
	Forget() error // removes all secrets that Ingot has stored
}

// Files stores each secret in a file with mode 0600.
type Files struct{ Dir string }

// Where returns the folder.
func (f Files) Where() string { return f.Dir }

func (f Files) path(name string) string {
	return filepath.Join(f.Dir, strings.NewReplacer("/", "_", ":", "_", "..", "_").Replace(name))
}

// Forget removes the folder.
func (f Files) Forget() error { return os.RemoveAll(f.Dir) }

// Get reads a secret. It refuses a file that other users can read.
func (f Files) Get(name string) ([]byte, error) {
	p := f.path(name)
	info, err := os.Stat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("secret file %s can be read by other users: replace the secret, since they may have read it, and run chmod 600 on the file", p)
	}
	return limit.ReadFile(p, limit.Settings)
}

// Put writes a secret.
func (f Files) Put(name string, value []byte) error {
	tmp, err := f.write(value)
	if err != nil {
		return err
	}
	return os.Rename(tmp, f.path(name))
}

// Create links the new file to its name, which fails if the name exists.
func (f Files) Create(name string, value []byte) ([]byte, error) {
	tmp, err := f.write(value)
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, f.path(name)); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return f.Get(name)
}

func (f Files) write(value []byte) (string, error) {
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return "", fmt.Errorf("secret: %w", err)
	}
	tmp, err := os.CreateTemp(f.Dir, ".new-*") // mode 0600
	if err != nil {
		return "", fmt.Errorf("secret: %w", err)
	}
	_, err = tmp.Write(value)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return "", fmt.Errorf("secret: %w", err)
	}
	return tmp.Name(), nil
}
