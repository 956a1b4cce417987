package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"ingot/backend/home"
	"ingot/backend/limit"
	"ingot/backend/publish"
)

// partSize is the fixed size of multipart parts in bytes: some services refuse parts of
// different sizes.
const partSize = 16 << 20

// forgetAfter is the age of the note of an unfinished upload after which the upload is
// aborted; its parts use space until then.
const forgetAfter = 7 * 24 * time.Hour

// upload is a multipart upload that has begun. From before its first part until its end
// a note of it is in the folder of unfinished uploads, so that the next publish of the
// same bytes can resume it.
type upload struct {
	URL, Bucket, Key string
	SHA256           string // of the whole file
	ID               string // the service's id
	Begun            time.Time
}

// createParts uploads in parts and sends the condition with the last request.
// minio-go's own multipart upload omits it there (seen with v7.4.1), and so would
// overwrite. Parts of an interrupted upload are not sent again. A failed upload is kept
// for that if it can be noted, else aborted; one that the service refuses to complete
// is always aborted.
//
// Each part is read once into memory and hashed there, so that the digest is that of
// the bytes that were sent. If it differs from f's, the upload is aborted and no object
// is created.
func (c *client) createParts(ctx context.Context, key string, f publish.File, r io.ReaderAt, want publish.Published, opt minio.PutObjectOptions, sent func(int64)) error {
	core := minio.Core{Client: c.s3}
	up, there, err := c.begin(ctx, key, want, opt)
	if err != nil {
		return err
	}
	var parts []minio.CompletePart
	sum, buf := sha256.New(), make([]byte, min(partSize, want.Size))
	for n, off := 1, int64(0); off < want.Size; n, off = n+1, off+partSize {
		data := buf[:min(partSize, want.Size-off)]
		etag, err := "", error(nil)
		if _, err = r.ReadAt(data, off); err == nil {
			sum.Write(data)
			etag = there[n].holds(data)
		}
		if err == nil && etag == "" {
			var p minio.ObjectPart
			p, err = core.PutObjectPart(ctx, c.endpoint.Bucket, key, up.ID, n, bytes.NewReader(data), int64(len(data)), minio.PutObjectPartOptions{})
			etag = p.ETag
		}
		if err != nil {
			if c.unfinished == "" {
				c.abort(ctx, up)
			}
			return err
		}
		parts = append(parts, minio.CompletePart{PartNumber: n, ETag: etag})
		if sent != nil {
			sent(off + int64(len(data)))
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		c.abort(ctx, up)
		return publish.Changed(f, got)
	}
	_, err = core.CompleteMultipartUpload(ctx, c.endpoint.Bucket, key, up.ID, parts, opt)
	if err != nil && (c.unfinished == "" || refused(err)) {
		c.abort(ctx, up)
	}
	if err == nil {
		c.forget(up)
	}
	return err
}

// begin resumes the noted upload of these bytes to this key if the service still has
// it, or begins one. there are the parts that the service has.
func (c *client) begin(ctx context.Context, key string, want publish.Published, opt minio.PutObjectOptions) (up upload, there map[int]part, err error) {
	up = upload{URL: c.endpoint.URL, Bucket: c.endpoint.Bucket, Key: key, SHA256: want.SHA256, Begun: time.Now().UTC()}
	if noted, ok := c.noted(up); ok {
		there, err := c.parts(ctx, noted)
		if err == nil {
			return noted, there, nil
		}
		if !refused(err) {
			return up, nil, err
		}
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

// abort aborts an upload. If that fails, its parts use space, but no data is wrong.
func (c *client) abort(ctx context.Context, up upload) {
	err := minio.Core{Client: c.s3}.AbortMultipartUpload(context.WithoutCancel(ctx), up.Bucket, up.Key, up.ID)
	if err == nil || refused(err) {
		c.forget(up)
	}
}

func (c *client) notePath(up upload) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{up.URL, up.Bucket, up.Key, up.SHA256}, "\x00")))
	return filepath.Join(c.unfinished, hex.EncodeToString(sum[:16])+".json")
}

func (c *client) note(up upload) error {
	if c.unfinished == "" {
		return nil
	}
	b, err := json.Marshal(up)
	if err == nil {
		err = os.MkdirAll(c.unfinished, 0o700)
	}
	if err == nil {
		err = home.WriteFileAtomic(c.notePath(up), b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("note of an upload: %w", err)
	}
	return nil
}

// noted returns the note of an upload of the same bytes to the same key; an unreadable
// note is ignored.
func (c *client) noted(up upload) (upload, bool) {
	if c.unfinished == "" {
		return up, false
	}
	noted, err := readNote(c.notePath(up))
	return noted, err == nil && noted.Key == up.Key && noted.SHA256 == up.SHA256
}

func readNote(path string) (up upload, err error) {
	b, err := limit.ReadFile(path, limit.Settings)
	if err == nil {
		err = json.Unmarshal(b, &up)
	}
	if err == nil && up.ID == "" {
		err = errors.New("it has no upload id")
	}
	return up, err
}

func (c *client) forget(up upload) {
	if c.unfinished != "" {
		_ = os.Remove(c.notePath(up)) // a remaining note leads to an upload that does not exist, and then to a new one
	}
}

// abandon aborts the endpoint's uploads that were not resumed in time.
func (c *client) abandon(ctx context.Context) {
	if c.unfinished == "" {
		return
	}
	_ = filepath.WalkDir(c.unfinished, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // no folder yet, or an unreadable one: nothing to abort
		}
		up, err := readNote(path)
		if err == nil && up.URL == c.endpoint.URL && time.Since(up.Begun) > forgetAfter {
			c.abort(ctx, up)
		}
		return nil
	})
}
