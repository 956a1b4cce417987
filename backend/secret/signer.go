package secret

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"aead.dev/minisign"
)

// Signer is the home's signing key. Its methods are safe for concurrent use.
type Signer struct {
	mini minisign.PrivateKey
	key  ed25519.PrivateKey
}

const signingKey = "signing-key"

// LoadOrCreateSigner returns the home's key. It creates the key if there is
// none.
func LoadOrCreateSigner(s Store) (*Signer, error) {
	text, err := s.Get(signingKey)
	if errors.Is(err, ErrNotFound) {
		_, fresh, gerr := minisign.GenerateKey(nil)
		if gerr != nil {
			return nil, fmt.Errorf("signing key: %w", gerr)
		}
		made, gerr := fresh.MarshalText()
		if gerr != nil {
			return nil, fmt.Errorf("signing key: %w", gerr)
		}
		text, err = s.Create(signingKey, made)
	}
	if err != nil {
		return nil, fmt.Errorf("signing key in %s: %w", s.Where(), err)
	}
	return parseSigner(text)
}

// Offsets in minisign's secret key file (jedisct1/minisign, "Secret key
// format"): three algorithm ids, salt, two scrypt limits, key id, key.
const (
	keyIDOffset = 2 + 2 + 2 + 32 + 8 + 8
	keyOffset   = keyIDOffset + 8
)

func parseSigner(text []byte) (*Signer, error) {
	var s Signer
	if err := s.mini.UnmarshalText(text); err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	lines := strings.Fields(string(text))
	raw, err := base64.StdEncoding.DecodeString(lines[len(lines)-1])
	if err != nil || len(raw) < keyOffset+ed25519.PrivateKeySize {
		return nil, errors.New("signing key: the stored key has an unknown format")
	}
	s.key = ed25519.PrivateKey(raw[keyOffset : keyOffset+ed25519.PrivateKeySize])
	return &s, nil
}

// Sign returns a plain Ed25519 signature.
func (s *Signer) Sign(data []byte) []byte { return ed25519.Sign(s.key, data) }

// KeyID returns minisign's id of the key, 16 hex digits.
func (s *Signer) KeyID() string { return fmt.Sprintf("%016X", s.mini.ID()) }

// Public returns the public key.
func (s *Signer) Public() ed25519.PublicKey { return s.key.Public().(ed25519.PublicKey) }

// MinisignPublic returns the text of a minisign public key file.
func (s *Signer) MinisignPublic() string {
	pub, ok := s.mini.Public().(minisign.PublicKey)
	if !ok { // the library's documented type
		return ""
	}
	return publicText(s.KeyID(), pub.String())
}

// MinisignSign signs a message so that `minisign -V` verifies it. The signature
// also covers comment.
func (s *Signer) MinisignSign(message []byte, comment string) []byte {
	return minisign.SignWithComments(s.mini, message, comment, "signature by Ingot key "+s.KeyID())
}

// ParsePublic reads a minisign public key: the file's text or its last line.
func ParsePublic(text string) (id string, key ed25519.PublicKey, err error) {
	lines := strings.Fields(text)
	if len(lines) == 0 {
		return "", nil, errors.New("public key: the text is empty")
	}
	raw, err := base64.StdEncoding.DecodeString(lines[len(lines)-1])
	if err != nil || len(raw) != 2+8+ed25519.PublicKeySize || string(raw[:2]) != "Ed" {
		return "", nil, errors.New("public key: not a minisign public key (two lines, the second starts with RW)")
	}
	return fmt.Sprintf("%016X", binary.LittleEndian.Uint64(raw[2:10])), ed25519.PublicKey(raw[10:]), nil
}

// FormatPublic returns the minisign public key file of a key, which ParsePublic
// reads.
func FormatPublic(id string, key ed25519.PublicKey) (string, error) {
	n, err := strconv.ParseUint(id, 16, 64)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return "", fmt.Errorf("public key: the key id %q is invalid, or the key has the wrong length", id)
	}
	raw := binary.LittleEndian.AppendUint64([]byte("Ed"), n)
	return publicText(id, base64.StdEncoding.EncodeToString(append(raw, key...))), nil
}

func publicText(id, line string) string {
	return "untrusted comment: Ingot signing key " + id + "\n" + line + "\n"
}

// MinisignComment returns the trusted comment of a signature, or "" if there is none.
// Use it only after the signature was verified.
func MinisignComment(signature []byte) string {
	var s minisign.Signature
	if s.UnmarshalText(signature) != nil {
		return ""
	}
	return s.TrustedComment
}

// VerifyMinisignAny is VerifyMinisign with several keys. It returns the id of
// the key whose signature is valid.
func VerifyMinisignAny(keys map[string]ed25519.PublicKey, message, signature []byte) (id string, ok bool) {
	for id, key := range keys {
		if text, err := FormatPublic(id, key); err == nil && VerifyMinisign(text, message, signature) {
			return id, true
		}
	}
	return "", false
}

// VerifyMinisign reports whether signature is a valid minisign signature of
// message. public has the form that ParsePublic reads.
func VerifyMinisign(public string, message, signature []byte) bool {
	var pub minisign.PublicKey
	if err := pub.UnmarshalText([]byte(strings.TrimSpace(public))); err != nil {
		return false
	}
	return minisign.Verify(pub, message, signature)
}
