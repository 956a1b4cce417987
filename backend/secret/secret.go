// Package secret stores keys and credentials.
//
// A Store is the OS keychain, or a folder of files with mode 0600 if no
// keychain is available. A Signer is the home's Ed25519 key. It signs evidence
// (DSSE) and checksum lists (minisign), so one public key verifies both. No
// secret of this package may be written to a log, an argument list or evidence.
package secret

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/zalando/go-keyring"
	"golang.org/x/sys/unix"

	"ingot/backend/home"
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

// Open returns the OS keychain if it is available, or else files in dir.
// INGOT_KEYCHAIN=off selects the files.
func Open(dir string, getenv func(string) string) Store {
	if getenv("INGOT_KEYCHAIN") != "off" && keychainAnswers() {
		return keychain{dir}
	}
	return Files{dir}
}

const service = "ingot"

// keychainTimeout bounds the first request: a session bus without a keyring
// daemon may not answer.
const keychainTimeout = 2 * time.Second

func keychainAnswers() bool {
	answered := make(chan error, 1)
	go func() {
		_, err := keyring.Get(service, "probe")
		answered <- err
	}()
	select {
	case err := <-answered:
		return err == nil || errors.Is(err, keyring.ErrNotFound)
	case <-time.After(keychainTimeout):
		return false
	}
}

// keychain is the OS keychain. Values are binary and stored as base64. A value
// that is not base64 was entered by hand as plain text and is used as it is;
// "ACCESS:SECRET" is never valid base64, which has no colon. dir is a folder of
// the home for a lock file.
type keychain struct{ dir string }

func (keychain) Where() string { return "the OS keychain" }

func (keychain) Get(name string) ([]byte, error) {
	v, err := keyring.Get(service, name)
	if errors.Is(err, keyring.ErrNotFound) {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("keychain: %s: %w", name, err)
	}
	if b, err := base64.StdEncoding.DecodeString(v); err == nil {
		return b, nil
	}
	return []byte(v), nil
}

func (keychain) Put(name string, value []byte) error {
	if err := keyring.Set(service, name, base64.StdEncoding.EncodeToString(value)); err != nil {
		return fmt.Errorf("keychain: %s: %w", name, err)
	}
	return nil
}

// creating serialises the goroutines of this process.
var creating sync.Mutex

// Create holds a lock from the read to the write: keychains have no atomic
// create, and two processes that start at once must get the same key.
func (k keychain) Create(name string, value []byte) (got []byte, err error) {
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return nil, fmt.Errorf("keychain: %w", err)
	}
	creating.Lock()
	defer creating.Unlock()
	lock, err := home.LockFile(filepath.Join(k.dir, "keychain.lock"), 0o600, unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("keychain: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // the lock ends with the file
	if old, err := k.Get(name); !errors.Is(err, ErrNotFound) {
		return old, err
	}
	return value, k.Put(name, value)
}

func (keychain) Forget() error {
	if err := keyring.DeleteAll(service); err != nil {
		return fmt.Errorf("keychain: %w", err)
	}
	return nil
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
