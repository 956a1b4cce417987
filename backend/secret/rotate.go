package secret

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aead.dev/minisign"

	"ingot/backend/cause"
)

const retiredKeys = "retired-keys"

// Retired returns the home's earlier public keys by key id. Documents that they
// signed are still accepted.
func Retired(s Store) (map[string]ed25519.PublicKey, error) {
	text, err := s.Get(retiredKeys)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("retired keys in %s: %w", s.Where(), err)
	}
	keys := map[string]ed25519.PublicKey{}
	for line := range strings.Lines(string(text)) {
		id, key, err := ParsePublic(line)
		if err != nil {
			return nil, fmt.Errorf("retired keys in %s: %w", s.Where(), err)
		}
		keys[id] = key
	}
	return keys, nil
}

// Drop removes an earlier public key from those of Retired. The caller holds the
// home's lock.
func Drop(s Store, keyID string) error {
	text, err := s.Get(retiredKeys)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	var kept strings.Builder
	var have []string
	for line := range strings.Lines(string(text)) {
		id, _, err := ParsePublic(line)
		if err != nil {
			return fmt.Errorf("retired keys in %s: %w", s.Where(), err)
		}
		have = append(have, id)
		if id != keyID {
			kept.WriteString(line)
		}
	}
	if !slices.Contains(have, keyID) {
		return &UnknownKeyError{ID: keyID, Have: have}
	}
	return s.Put(retiredKeys, []byte(kept.String()))
}

// UnknownKeyError reports that a key is none of the home's earlier keys.
type UnknownKeyError struct {
	ID   string
	Have []string
}

func (e *UnknownKeyError) Error() string {
	if len(e.Have) == 0 {
		return fmt.Sprintf("key %.40q is not an earlier key of this home, which has none: the current one is replaced by --rotate first", e.ID)
	}
	return fmt.Sprintf("key %.40q is not an earlier key of this home; those are %s", e.ID, strings.Join(e.Have, ", "))
}

// ErrorClass sorts the error; see package cause.
func (*UnknownKeyError) ErrorClass() cause.Class { return cause.Input }

// Rotate makes a new key for the home and retires the current one. The caller
// holds the home's lock.
func Rotate(s Store) (*Signer, error) {
	_, fresh, err := minisign.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	text, err := fresh.MarshalText()
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return ImportKey(s, text)
}

// ExportKey returns the private key in minisign's format, without a password.
func ExportKey(s Store) ([]byte, error) { return s.Get(signingKey) }

// ImportKey makes a key in the format of ExportKey the home's key, and retires
// the current one. The caller holds the home's lock.
func ImportKey(s Store, text []byte) (*Signer, error) {
	signer, err := parseSigner(text)
	if err != nil {
		return nil, err
	}
	old, err := LoadOrCreateSigner(s)
	if err != nil {
		return nil, err
	}
	if old.KeyID() == signer.KeyID() {
		return old, nil
	}
	list, err := s.Get(retiredKeys)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(old.MinisignPublic()), "\n")
	list = append(list, lines[len(lines)-1]+"\n"...)
	// the old key is retired first, so that a crash in between loses neither key
	if err := s.Put(retiredKeys, list); err != nil {
		return nil, err
	}
	return signer, s.Put(signingKey, text)
}
