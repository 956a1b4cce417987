package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/minio/minio-go/v7"
)

// Objects is a folder of a bucket for what travels between computers: objects
// named by their SHA-256 below a folder, written create-only, read whole and
// hashed on the way. Its methods may be called from several goroutines. Errors
// are *Error, or the context's.
type Objects struct{ c *client }

// OpenObjects makes sure that the bucket is there.
func OpenObjects(ctx context.Context, e Endpoint) (*Objects, error) {
	c, err := newClient(e)
	if err == nil {
		err = c.checkBucket(ctx)
	}
	if err != nil {
		return nil, classify(err)
	}
	return &Objects{c}, nil
}

// objectName is where an object lies; folder and digest are checked, since they
// may come from another computer.
func objectName(folder, digest string) (string, error) {
	if raw, err := hex.DecodeString(digest); err != nil || len(raw) != sha256.Size || !namePart.MatchString(folder) {
		return "", &Error{Cause: "publish.failed", Msg: fmt.Sprintf("%q/%q is no name of an object", folder, digest)}
	}
	return folder + "/" + digest, nil
}

// Put keeps the file's bytes in the folder and returns their digests and size.
// What is there already is left alone: its name is its content's.
func (o *Objects) Put(ctx context.Context, folder string, f File) (Published, error) {
	want, err := digestFile(f)
	if err != nil {
		return want, err
	}
	name, err := objectName(folder, want.SHA256)
	if err == nil {
		_, err = o.c.create(ctx, name, f, want, nil)
	}
	if err != nil {
		return want, classify(err)
	}
	return want, nil
}

// OtherBytesError says that an object does not hold what its name says. Got ""
// is one that is not there.
type OtherBytesError struct {
	Name      string
	Got, Want string // SHA-256
}

func (e *OtherBytesError) Error() string {
	if e.Got == "" {
		return fmt.Sprintf("the object %s is not there", e.Name)
	}
	return fmt.Sprintf("the object %s has SHA-256 %s", e.Name, e.Got)
}

// Get writes the object into w: size bytes with the digest, or an error –
// *OtherBytesError for other ones. More than size bytes are never written.
func (o *Objects) Get(ctx context.Context, folder, digest string, size int64, w io.Writer) error {
	name, err := objectName(folder, digest)
	if err != nil {
		return err
	}
	obj, err := o.c.s3.GetObject(ctx, o.c.endpoint.Bucket, o.c.key(name), minio.GetObjectOptions{})
	if err != nil {
		return classify(err)
	}
	defer obj.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(obj, size))
	if isMissing(err) {
		return &OtherBytesError{Name: name, Want: digest}
	}
	if err != nil {
		return classify(err)
	}
	var more [1]byte
	if extra, err := obj.Read(more[:]); extra > 0 {
		return &OtherBytesError{name, fmt.Sprintf("of more than %d bytes", size), digest}
	} else if err != nil && !errors.Is(err, io.EOF) {
		return classify(err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest || n != size {
		return &OtherBytesError{name, got, digest}
	}
	return nil
}

// Clear removes the folder's objects. Those that stay cost space, nothing else.
func (o *Objects) Clear(ctx context.Context, folder string) error {
	if !namePart.MatchString(folder) {
		return &Error{Cause: "publish.failed", Msg: fmt.Sprintf("%q is no name of a folder", folder)}
	}
	for obj := range o.c.s3.ListObjects(ctx, o.c.endpoint.Bucket, minio.ListObjectsOptions{Prefix: o.c.key(folder) + "/", Recursive: true}) {
		if obj.Err != nil {
			return classify(obj.Err)
		}
		if err := o.c.s3.RemoveObject(ctx, o.c.endpoint.Bucket, obj.Key, minio.RemoveObjectOptions{}); err != nil {
			return classify(err)
		}
	}
	return nil
}
