package secret

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/zalando/go-keyring"
	"golang.org/x/sys/unix"

	"ingot/backend/home"
)

// common is the keychain's service that all homes shared before each had its own.
// Entries that the user made by hand are there too.
const common = "ingot"

// keychain is the OS keychain. Values are binary and stored as base64. A value
// that is not base64 was entered by hand as plain text and is used as it is;
// "ACCESS:SECRET" is never valid base64, which has no colon.
type keychain struct {
	dir     string // folder of the home, for a lock file
	service string // of this home alone
	// older means that the home was there before it had a service of its own: its key is
	// in the common one.
	older bool
}

// KeychainError reports that the OS keychain, in which the home's secrets are, does not
// give or take one.
type KeychainError struct {
	Name string
	Err  error
}

func (e *KeychainError) Error() string {
	return fmt.Sprintf("the OS keychain holds this home's secrets, and %s cannot be read or written there: %v", e.Name, e.Err)
}

// Unwrap returns Err.
func (e *KeychainError) Unwrap() error { return e.Err }

// CauseID returns the cause.
func (e *KeychainError) CauseID() string { return "home.keychain" }

func (keychain) Where() string { return "the OS keychain" }

// Get reads a secret. One that is only in the common service is copied to the home's
// own, and left where it is.
func (k keychain) Get(name string) ([]byte, error) {
	v, err := keyring.Get(k.service, name)
	if errors.Is(err, keyring.ErrNotFound) && (k.older || !own(name)) {
		if v, err = keyring.Get(common, name); err == nil && own(name) {
			err = k.set(name, v)
		}
	}
	if errors.Is(err, keyring.ErrNotFound) {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, &KeychainError{name, err}
	}
	if b, err := base64.StdEncoding.DecodeString(v); err == nil {
		return b, nil
	}
	return []byte(v), nil
}

// own reports whether a secret is the home's: its key, not the credentials of an
// endpoint.
func own(name string) bool { return name == signingKey || name == retiredKeys }

// set writes an entry and reads it back: some keychains accept a write that they do not
// keep.
func (k keychain) set(name, value string) error {
	if err := keyring.Set(k.service, name, value); err != nil {
		return err
	}
	got, err := keyring.Get(k.service, name)
	if err == nil && got != value {
		err = errors.New("it did not keep what was written")
	}
	return err
}

func (k keychain) Put(name string, value []byte) error {
	if err := k.set(name, base64.StdEncoding.EncodeToString(value)); err != nil {
		return &KeychainError{name, err}
	}
	return nil
}

// creating serialises the goroutines of this process.
var creating sync.Mutex

// Create holds a lock from the read to the write: keychains have no atomic
// create, and two processes that start at once must get the same key.
func (k keychain) Create(name string, value []byte) (got []byte, err error) {
	creating.Lock()
	defer creating.Unlock()
	lock, err := lockIn(k.dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // the lock ends with the file
	if old, err := k.Get(name); !errors.Is(err, ErrNotFound) {
		return old, err
	}
	return value, k.Put(name, value)
}

// lockIn locks the folder of a home's secrets for one process at a time.
func lockIn(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	lock, err := home.LockFile(filepath.Join(dir, "keychain.lock"), 0o600, unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return lock, nil
}

// Forget removes the home's own entries. Those of the common service stay: other homes
// may use them.
func (k keychain) Forget() error {
	if err := keyring.DeleteAll(k.service); err != nil {
		return &KeychainError{"the entries of " + k.service, err}
	}
	return nil
}
