package publish

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
)

// DigestFile reads a file once and computes both digests. It returns an error if the
// SHA-256 differs from the one in its evidence.
func DigestFile(f File) (Published, error) {
	r, err := OpenFile(f)
	if err != nil {
		return Published{}, err
	}
	defer r.Close()
	got, err := DigestOf(r)
	if err == nil && f.SHA256 != "" && got.SHA256 != f.SHA256 {
		err = Changed(f, got.SHA256)
	}
	return got, err
}

// Changed returns the error for a file whose bytes differ from those of its evidence.
func Changed(f File, sha256 string) error {
	return &Error{Cause: "image.digest-changed", Msg: fmt.Sprintf("%s has SHA-256 %s, its evidence is about %s: nothing of it was published", f.Name, sha256, f.SHA256), Fix: "build it again, or put back the file that was exported"}
}

// DigestOf reads r to its end and computes both digests.
func DigestOf(r io.Reader) (Published, error) {
	s256, s512 := sha256.New(), sha512.New()
	n, err := io.Copy(io.MultiWriter(s256, s512), r)
	return Published{SHA256: hex.EncodeToString(s256.Sum(nil)), SHA512: hex.EncodeToString(s512.Sum(nil)), Size: n}, err
}

// IsSHA256 reports whether a text has the form of a SHA-256 digest in lower-case hex, and
// so can be a part of a path.
func IsSHA256(text string) bool {
	return len(text) == 2*sha256.Size && strings.Trim(text, "0123456789abcdef") == ""
}

// SHA256Of reads r to its end and computes its size and SHA-256 alone: SHA-512 takes four
// times as long where the processor has instructions for SHA-256.
func SHA256Of(r io.Reader) (Published, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	return Published{SHA256: hex.EncodeToString(sum.Sum(nil)), Size: n}, err
}

// OpenFile opens the file's content; the caller closes it.
func OpenFile(f File) (io.ReadCloser, error) {
	if f.Path == "" {
		return io.NopCloser(strings.NewReader(string(f.Data))), nil
	}
	r, err := os.Open(f.Path)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return r, nil
}
