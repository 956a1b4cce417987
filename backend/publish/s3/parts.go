package s3

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"ingot/backend/publish"
)

// partSize is the size of a file's parts in bytes, up to partSize*maxParts; it is the same
// for all parts of a file: some services refuse parts of different sizes.
const partSize = 8 << 20

// maxParts is S3's limit of the parts of one object.
const maxParts = 10_000

// partSizeOf returns the size of the parts of a file: partSize, or the smallest power of
// two times it with which the file has at most maxParts.
func partSizeOf(size int64) int64 {
	part := int64(partSize)
	for size > part*maxParts {
		part *= 2
	}
	return part
}

// partsAtOnce is how many parts are sent at the same time. Each is in memory meanwhile:
// on a line with a delay one connection uses a fraction of it.
var partsAtOnce = defaultParts // tests change it

const defaultParts = 16

// createParts uploads in parts, several at a time, and sends the condition with the last
// request. minio-go's own multipart upload omits it there (seen with v7.4.1), and so
// would overwrite. Parts of an interrupted upload are not sent again. A failed upload is
// kept for that if it can be noted, else aborted; one that the service refuses to
// complete is always aborted.
//
// Each part is read once into memory and hashed there, so that the digest is that of
// the bytes that were sent. If it differs from f's, the upload is aborted and no object
// is created. Calls of sent, which may be nil, do not overlap.
func (c *client) createParts(ctx context.Context, key string, f publish.File, r io.ReaderAt, want publish.Published, opt minio.PutObjectOptions, sent func(int64)) error {
	up, there, err := c.begin(ctx, key, opt)
	if err != nil {
		return err
	}
	s := sending{client: c, up: up, size: want.Size, sent: sent}
	parts, sum, err := s.all(ctx, r, there)
	if err != nil {
		if c.unfinished == "" {
			c.abort(ctx, up)
		}
		return err
	}
	if sum != f.SHA256 {
		c.abort(ctx, up)
		return publish.Changed(f, sum)
	}
	_, err = minio.Core{Client: c.s3}.CompleteMultipartUpload(ctx, c.endpoint.Bucket, key, up.ID, parts, opt)
	if err != nil && (c.unfinished == "" || refused(err)) {
		c.abort(ctx, up)
	}
	if err == nil {
		c.forget(up)
		// a request to begin one that minio-go repeated may have begun two; and another
		// publisher's can only end in a conflict now
		c.abortAll(ctx, key)
	}
	return err
}

// sending is the transfer of the parts of one upload.
type sending struct {
	*client
	up   upload
	size int64

	mu     sync.Mutex // of what follows, and of calls of sent
	sent   func(int64)
	stored int64
	err    error // the first one; parts that are on their way are not cut off by it
}

// all sends the parts that the service does not have, and returns all of them in order,
// with the SHA-256 of their bytes in lower-case hex.
func (s *sending) all(ctx context.Context, r io.ReaderAt, there map[int]part) ([]minio.CompletePart, string, error) {
	size := partSizeOf(s.size)
	parts := make([]minio.CompletePart, (s.size+size-1)/size)
	free := make(chan []byte, min(partsAtOnce, len(parts)))
	for range cap(free) {
		free <- make([]byte, min(size, s.size))
	}
	sum := sha256.New()
	var running sync.WaitGroup
	for i := range parts {
		buf := <-free
		if s.failed() != nil || ctx.Err() != nil {
			break
		}
		data := buf[:min(size, s.size-int64(i)*size)]
		if _, err := r.ReadAt(data, int64(i)*size); err != nil {
			s.done(0, err)
			break
		}
		sum.Write(data)
		running.Go(func() {
			etag, err := there[i+1].holds(data), error(nil)
			if etag == "" {
				etag, err = s.part(ctx, i+1, data)
			}
			parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: etag}
			s.done(len(data), err)
			free <- buf
		})
	}
	running.Wait()
	if err := cmp.Or(s.failed(), ctx.Err()); err != nil {
		return nil, "", err
	}
	return parts, hex.EncodeToString(sum.Sum(nil)), nil
}

// part sends one part and returns its ETag.
func (s *sending) part(ctx context.Context, n int, data []byte) (etag string, err error) {
	p, err := minio.Core{Client: s.s3}.PutObjectPart(ctx, s.up.Bucket, s.up.Key, s.up.ID, n, bytes.NewReader(data), int64(len(data)), minio.PutObjectPartOptions{})
	return p.ETag, err
}

func (s *sending) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// done notes the end of a part of n bytes.
func (s *sending) done(n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.err = cmp.Or(s.err, err)
		return
	}
	if s.stored += int64(n); s.sent != nil {
		s.sent(s.stored)
	}
}

// begin resumes the noted upload to this key if the service still has it, or begins one.
// there are the parts that the service has; which of them have the right bytes is found
// when they would be sent.
func (c *client) begin(ctx context.Context, key string, opt minio.PutObjectOptions) (up upload, there map[int]part, err error) {
	up = upload{URL: c.endpoint.URL, Bucket: c.endpoint.Bucket, Key: key, Begun: time.Now().UTC()}
	if noted, ok := c.noted(ctx, up); ok {
		there, err := c.parts(ctx, noted)
		if status := minio.ToErrorResponse(err).StatusCode; status == http.StatusUnauthorized || status == http.StatusForbidden {
			there, err = nil, nil // a key that may not list them can send them again
		}
		if err == nil {
			up.ID = noted.ID
			return up, there, c.note(up) // at this address from now on
		}
		if !refused(err) {
			return up, nil, err
		}
		c.setAside(noted)
	}
	if err := c.note(up); err != nil { // before there is an upload: see noted
		return up, nil, err
	}
	if up.ID, err = (minio.Core{Client: c.s3}).NewMultipartUpload(ctx, c.endpoint.Bucket, key, minio.PutObjectOptions{ContentType: opt.ContentType}); err != nil {
		return up, nil, err
	}
	if err := c.note(up); err != nil {
		c.abort(ctx, up)
		return up, nil, err
	}
	return up, nil, nil
}

// part is a part in the service's list; the zero value is a missing one.
type part minio.ObjectPart

// holds returns the part's ETag if it is the MD5 of the bytes, as it is with services
// that do not encrypt with their own keys. Otherwise it returns "", and the part must
// be sent.
func (p part) holds(data []byte) (etag string) {
	if p.ETag == "" || p.Size != int64(len(data)) {
		return ""
	}
	sum := md5.Sum(data)
	if etag = strings.Trim(p.ETag, `"`); etag != hex.EncodeToString(sum[:]) {
		return ""
	}
	return etag
}

// parts returns the upload's parts by number.
func (c *client) parts(ctx context.Context, up upload) (map[int]part, error) {
	there := map[int]part{}
	for marker := 0; ; {
		list, err := (minio.Core{Client: c.s3}).ListObjectParts(ctx, up.Bucket, up.Key, up.ID, marker, 1000)
		if err != nil {
			return nil, err
		}
		for _, p := range list.ObjectParts {
			there[p.PartNumber] = part(p)
		}
		if !list.IsTruncated || list.NextPartNumberMarker <= marker {
			return there, nil
		}
		marker = list.NextPartNumberMarker
	}
}

// refused reports whether the service refused the request itself, not the credentials:
// then a repetition is of no use.
func refused(err error) bool {
	switch status := minio.ToErrorResponse(err).StatusCode; status {
	case 401, 403, 408, 429:
		return false
	default:
		return status >= 400 && status < 500
	}
}

// abort aborts an upload and reports whether the service has it no more. If that fails,
// its parts use space, but no data is wrong.
func (c *client) abort(ctx context.Context, up upload) (gone bool) {
	err := minio.Core{Client: c.s3}.AbortMultipartUpload(context.WithoutCancel(ctx), up.Bucket, up.Key, up.ID)
	if gone = err == nil || refused(err); gone {
		c.forget(up)
	}
	return gone
}
