package secret

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"

	"aead.dev/minisign"
)

const retiredKeys = "retired-keys"

// Retired are the public keys that were the home's before, by key id: what they
// signed is still believed.
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

// Rotate gives the home a fresh key and retires the one it had. The caller
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

// ExportKey is the private key in minisign's form, without a password.
func ExportKey(s Store) ([]byte, error) { return s.Get(signingKey) }

// ImportKey makes a key of ExportKey's form the home's, and retires the one it
// had. The caller holds the home's lock.
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
	// first the old key's trust, then the new key: a crash between loses neither
	if err := s.Put(retiredKeys, list); err != nil {
		return nil, err
	}
	return signer, s.Put(signingKey, text)
}
