package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/limit"
)

// Publisher is a destination of releases: an S3-compatible endpoint or a folder. Its
// methods are safe for concurrent use.
type Publisher interface {
	// ID returns the destination's name for input keys and messages; it contains no
	// secret.
	ID() string
	// Local reports whether only users of this computer can read it.
	Local() bool
	// Probe tests what publishing needs of the destination, and removes what it wrote.
	// It returns an error if nothing could be tested.
	Probe(ctx context.Context) ([]Ability, error)
	// Publish writes a release, in an order in which readers never see a partial one,
	// and reads it back. It may be repeated: existing objects are compared and not sent
	// again. Its errors are *Error.
	Publish(ctx context.Context, r Release, opt Options) (Receipt, error)
}

// Reader reads a release without credentials.
type Reader interface {
	// Get opens a file of the release by its name in SHA256SUMS, after its first from
	// bytes; unless from is 0, the file must have more. After max bytes, counted from the
	// beginning of the file, or when no more data arrives, a read returns an error. The
	// caller closes the file. The error for a missing or unreadable file contains its
	// name.
	Get(ctx context.Context, name string, from, max int64) (io.ReadCloser, error)
}

// Store is the storage of a publisher: objects by name below one prefix. ToStore writes
// the layout of releases, manifest, sums, signature and catalogue in the same way to
// all stores. Its methods are called from several goroutines at once, for different
// names.
type Store interface {
	ID() string
	Local() bool
	// Public returns the address at which anybody can read an object; for the name ""
	// that of the prefix.
	Public(name string) string
	// Check returns an error if the store cannot be used.
	Check(ctx context.Context) error
	// Create writes an object only if it does not exist; made is false if it did,
	// whatever its bytes. The digest of the bytes that are sent is compared with f's:
	// another one is an error with the cause image.digest-changed, and no object is
	// created. sent, which may be nil, is called with the number of bytes of a large
	// file that have been stored.
	Create(ctx context.Context, name string, f File, want Published, sent func(int64)) (made bool, err error)
	// ReadBack reads the whole object and computes its size and SHA-256.
	ReadBack(ctx context.Context, name string) (Published, error)
	// Get returns a small object and a tag of its state; ok is false if it does not
	// exist.
	Get(ctx context.Context, name string) (data []byte, tag string, ok bool, err error)
	// Replace writes a mutable object if its tag is unchanged ("" means that it does
	// not exist); otherwise it returns ErrMoved.
	Replace(ctx context.Context, name string, data []byte, mediaType, tag string) error
	// ReadPublic reads an object without credentials, at most max bytes, and computes
	// its size and SHA-256.
	ReadPublic(ctx context.Context, name string, max int64) (Published, error)
}

// Ability is one thing that publishing needs of a destination, with the result of its
// test.
type Ability struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Why  string `json:"why"`            // what publishing needs it for
	Seen string `json:"seen,omitempty"` // what happened instead
}

// Draft is a Store whose objects only the publisher sees until Finish shows all of them at
// once. It has no catalogue and no pointers: its host lists releases.
type Draft interface {
	Store
	// Finish makes the release public. What it makes public is complete and compared.
	Finish(ctx context.Context) error
}

// Parted is a Store that stores large files in parts: a program that downloads one address
// cannot read them. InParts reports it of an object of this publish.
type Parted interface{ InParts(name string) bool }

// Causer is a Store that knows the causes of its own errors. CauseOf returns "" for an
// error that it does not know.
type Causer interface{ CauseOf(err error) string }

// Elsewhere is a Store whose public address may be another server's. If it is, what
// readers get does not show what the store has.
type Elsewhere interface{ PublicElsewhere() bool }

// ErrAbsent reports that an object that is read back is not there, or not whole.
var ErrAbsent = errors.New("the object is not there")

// ErrMoved reports that another publisher changed a mutable object meanwhile.
var ErrMoved = errors.New("another publisher changed the object meanwhile")

// HTTPReader reads a release over HTTP, within the bounds of package limit.
type HTTPReader struct {
	Base string // address of the release's folder, with the final slash
}

// Get requests a file, a large one in ranges; a status that is neither 200 nor that of a
// range is an error.
func (r HTTPReader) Get(ctx context.Context, name string, from, max int64) (io.ReadCloser, error) {
	body, err := limit.GetRanges(ctx, limit.Client(), r.Base+name, from, max, limit.Stall)
	if err != nil {
		return nil, fmt.Errorf("%s%s cannot be read: %w", r.Base, name, err)
	}
	return body, nil
}

// NameError reports a name that is not that of a publisher.
type NameError struct {
	Name  string
	Known []string // the forms that are accepted
}

func (e *NameError) Error() string {
	return fmt.Sprintf("%q is not a destination for releases; accepted: %s", e.Name, strings.Join(e.Known, ", "))
}

// ErrorClass returns the class of the error; see package cause.
func (*NameError) ErrorClass() cause.Class { return cause.Input }
