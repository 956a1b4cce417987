package backend

import (
	"context"
	"errors"
	"fmt"
	"os"

	"ingot/backend/home"
	"ingot/backend/secret"
)

// RotateKey gives the home a fresh signing key; what the old one signed is
// still believed here. It returns the new key's id.
func (b *Backend) RotateKey(ctx context.Context) (string, error) {
	return b.changeKey(ctx, func() (*secret.Signer, error) { return secret.Rotate(b.secrets) })
}

// ImportKey makes the private key in a file, as ExportKey wrote it, the home's.
func (b *Backend) ImportKey(ctx context.Context, file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", &KeyFileError{file, err}
	}
	return b.changeKey(ctx, func() (*secret.Signer, error) {
		s, err := secret.ImportKey(b.secrets, text)
		if err != nil {
			err = &KeyFileError{file, err}
		}
		return s, err
	})
}

// KeyFileError is a key file that cannot be read or written.
type KeyFileError struct {
	File string
	Err  error
}

func (e *KeyFileError) Error() string { return fmt.Sprintf("key file %s: %v", e.File, e.Err) }
func (e *KeyFileError) Unwrap() error { return e.Err }

func (b *Backend) changeKey(ctx context.Context, change func() (*secret.Signer, error)) (string, error) {
	lock, err := b.lock(ctx, home.LockOptions{Purpose: "key change", Wait: true})
	if err != nil {
		return "", err
	}
	s, err := change()
	if err = errors.Join(err, lock.Unlock()); err != nil {
		return "", err
	}
	return s.KeyID(), nil
}

// ExportKey writes the private signing key to a new file of mode 0600. Whoever
// has it can sign as this home.
func (b *Backend) ExportKey(file string) error {
	text, err := secret.ExportKey(b.secrets)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return &KeyFileError{file, err}
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}
