package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/minio/minio-go/v7"

	"ingot/backend/publish"
)

// Objects is a folder of a bucket for data exchanged between computers: objects are
// named by their SHA-256 below a folder, written create-only, and hashed while they are
// read. Its methods are safe for concurrent use. Errors are *publish.Error, or the
// context's.
type Objects struct{ c *client }

// OpenObjects opens the endpoint and checks that the bucket exists.
func OpenObjects(ctx context.Context, e Endpoint) (*Objects, error) {
	c, err := newClient(e)
	if err == nil {
		err = c.Check(ctx)
	}
	if err != nil {
		return nil, classify(err)
	}
	return &Objects{c}, nil
}

// objectName returns the name of an object; folder and digest are validated, since they
// may come from another computer.
func objectName(folder, digest string) (string, error) {
	if !publish.IsSHA256(digest) || !publish.IsName(folder) {
		return "", &publish.Error{Cause: "publish.failed", Msg: fmt.Sprintf("%q/%q is not the name of an object", folder, digest)}
	}
	return folder + "/" + digest, nil
}

// Put stores the file's bytes in the folder and returns their digests and size. An
// existing object is kept, since its name is the digest of its content.
func (o *Objects) Put(ctx context.Context, folder string, f publish.File) (publish.Published, error) {
	want, err := publish.DigestFile(f)
	if err != nil {
		return want, err
	}
	name, err := objectName(folder, want.SHA256)
	if err == nil {
		_, err = o.c.Create(ctx, name, f, want, nil)
	}
	if err != nil {
		return want, classify(err)
	}
	return want, nil
}

// Get writes the object to w: size bytes with the digest. Other content is a
// *publish.OtherBytesError. It never writes more than size bytes.
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
		return &publish.OtherBytesError{Name: name, Want: digest}
	}
	if err != nil {
		return classify(err)
	}
	var more [1]byte
	if extra, err := obj.Read(more[:]); extra > 0 {
		return &publish.OtherBytesError{Name: name, Got: fmt.Sprintf("of more than %d bytes", size), Want: digest}
	} else if err != nil && !errors.Is(err, io.EOF) {
		return classify(err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest || n != size {
		return &publish.OtherBytesError{Name: name, Got: got, Want: digest}
	}
	return nil
}

// Clear removes the folder's objects. Objects that could not be removed only use space.
func (o *Objects) Clear(ctx context.Context, folder string) error {
	if !publish.IsName(folder) {
		return &publish.Error{Cause: "publish.failed", Msg: fmt.Sprintf("%q is not the name of a folder", folder)}
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
