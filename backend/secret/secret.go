// Package secret keeps keys and credentials.
//
// A Store is the OS keychain, or a folder of files with mode 0600 where no
// keychain answers. A Signer is the home's one Ed25519 key: it signs evidence
// (DSSE) and checksum lists (minisign), so that one public key verifies both.
// No secret of this package may reach a log, an argument list or evidence.
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
)

// ErrNotFound says that the store has no such secret.
var ErrNotFound = errors.New("no such secret")

// Store keeps secrets by name. Create makes one only if there is none, and
// returns the one that is there afterwards: two processes get the same.
type Store interface {
	Get(name string) ([]byte, error)
	Put(name string, value []byte) error
	Create(name string, value []byte) ([]byte, error)
	Where() string
	Forget() error // removes all that it holds of Ingot's
}

// Open returns the keychain if one answers, else files in dir.
// INGOT_KEYCHAIN=off chooses the files.
func Open(dir string, getenv func(string) string) Store {
	if getenv("INGOT_KEYCHAIN") != "off" && keychainAnswers() {
		return keychain{dir}
	}
	return Files{dir}
}

const service = "ingot"

// keychainTimeout bounds the first question: a session bus without a keyring
// daemon may not answer at all.
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

// keychain is the OS keychain. Values are kept in base64, being binary; one that
// is no base64 was put there by hand, as plain text, and is taken as it is: no
// "ACCESS:SECRET" can be mistaken, since base64 has no colon. dir is a folder of
// the home, for a lock.
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

// creating keeps apart the goroutines of this process.
var creating sync.Mutex

// Create holds a lock over its look and its write: keychains have no create-only
// write, and two first starts at once must come to one key.
func (k keychain) Create(name string, value []byte) (got []byte, err error) {
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return nil, fmt.Errorf("keychain: %w", err)
	}
	creating.Lock()
	defer creating.Unlock()
	lock, err := os.OpenFile(filepath.Join(k.dir, "keychain.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keychain: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // the lock ends with the file
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("keychain: %w", err)
	}
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

// Files keeps each secret in a file of its own, mode 0600.
type Files struct{ Dir string }

// Where is the folder.
func (f Files) Where() string { return f.Dir }

func (f Files) path(name string) string {
	return filepath.Join(f.Dir, strings.NewReplacer("/", "_", ":", "_", "..", "_").Replace(name))
}

// Forget removes the folder.
func (f Files) Forget() error { return os.RemoveAll(f.Dir) }

// Get reads a secret; a file that others may read is refused.
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
		return nil, fmt.Errorf("secret file %s can be read by others: chmod 600 it, and think of it as known", p)
	}
	return os.ReadFile(p)
}

// Put writes a secret.
func (f Files) Put(name string, value []byte) error {
	tmp, err := f.write(value)
	if err != nil {
		return err
	}
	return os.Rename(tmp, f.path(name))
}

// Create links the new file in place, which fails if there is one.
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
