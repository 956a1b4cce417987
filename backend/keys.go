package backend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"

	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/home"
	"ingot/backend/limit"
	"ingot/backend/secret"
)

// Author is who writes to the home's ledger.
func (b *Backend) Author() evidence.Author {
	return evidence.Author{Signer: b.Signer, Keys: b.Keys}
}

// RotateKey makes a new signing key for the home and returns its id. Documents
// signed by the old key are still accepted.
func (b *Backend) RotateKey(ctx context.Context) (string, error) {
	return b.changeKey(ctx, func() (*secret.Signer, error) { return secret.Rotate(b.Secrets) })
}

// RetireKey stops accepting the signatures of an earlier key: documents and releases
// that it signed are those of a stranger from then on.
func (b *Backend) RetireKey(ctx context.Context, keyID string) error {
	_, err := b.changeKey(ctx, func() (*secret.Signer, error) {
		if err := b.Ledger.Resign(ctx, b.Author()); err != nil {
			return nil, err
		}
		return b.Signer, secret.Drop(b.Secrets, keyID)
	})
	return err
}

// ImportKey makes the private key in a file that ExportKey wrote the home's
// signing key.
func (b *Backend) ImportKey(ctx context.Context, file string) (string, error) {
	text, err := limit.ReadFile(file, limit.Settings)
	if err != nil {
		return "", &KeyFileError{file, err}
	}
	return b.changeKey(ctx, func() (*secret.Signer, error) {
		s, err := secret.ImportKey(b.Secrets, text)
		if err != nil {
			err = &KeyFileError{file, err}
		}
		return s, err
	})
}

// KeyFileError reports a key file that cannot be read or written.
type KeyFileError struct {
	File string
	Err  error
}

func (e *KeyFileError) Error() string { return fmt.Sprintf("key file %s: %v", e.File, e.Err) }

// ErrorClass sorts the error; see package cause.
func (*KeyFileError) ErrorClass() cause.Class { return cause.Input }
func (e *KeyFileError) Unwrap() error         { return e.Err }

func (b *Backend) changeKey(ctx context.Context, change func() (*secret.Signer, error)) (string, error) {
	lock, err := b.Lock(ctx, home.LockOptions{Purpose: "key change", Wait: true})
	if err != nil {
		return "", err
	}
	s, err := change()
	if err == nil { // heads outlive the old key: only documents that they list count then
		keys := maps.Clone(b.Keys)
		keys[s.KeyID()] = s.Public()
		err = b.Ledger.Resign(ctx, evidence.Author{Signer: s, Keys: keys})
	}
	if err = errors.Join(err, lock.Unlock()); err != nil {
		return "", err
	}
	return s.KeyID(), nil
}

// ExportKey writes the private signing key to a new file with mode 0600. Anyone
// who has it can sign as this home.
func (b *Backend) ExportKey(file string) error {
	text, err := secret.ExportKey(b.Secrets)
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
