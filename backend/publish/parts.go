package publish

import (
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
)

// partSize is the fixed size of multipart parts: some services refuse uneven
// ones.
const partSize = 16 << 20

// forgetAfter is how old the note of an unfinished upload may become before the
// upload is taken back: its parts cost space for as long.
const forgetAfter = 7 * 24 * time.Hour

// upload is a multipart upload that has begun. The note of one lies in the
// folder of unfinished ones from before its first part until its end, so that
// whoever publishes the same bytes next goes on with it.
type upload struct {
	URL, Bucket, Key string
	SHA256           string // of the whole file
	ID               string // the service's
	Begun            time.Time
}

// createParts uploads in parts and sends the condition with the last request:
// minio-go's own multipart upload leaves it out there (seen with v7.4.1), and so
// would overwrite. Parts that an upload cut off before has left are not sent
// again. An upload that fails is kept for that where it can be noted, else taken
// back; one that the service refuses to finish is always taken back.
func (c *client) createParts(ctx context.Context, key string, r io.ReaderAt, want Published, opt minio.PutObjectOptions, sent func(int64)) error {
	core := minio.Core{Client: c.s3}
	up, there, err := c.begin(ctx, key, want, opt)
	if err != nil {
		return err
	}
	var parts []minio.CompletePart
	for n, off := 1, int64(0); off < want.Size; n, off = n+1, off+partSize {
		length := min(partSize, want.Size-off)
		etag, err := there[n].holds(io.NewSectionReader(r, off, length))
		if err == nil && etag == "" {
			var p minio.ObjectPart
			p, err = core.PutObjectPart(ctx, c.endpoint.Bucket, key, up.ID, n, io.NewSectionReader(r, off, length), length, minio.PutObjectPartOptions{})
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
			sent(off + length)
		}
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

// begin goes on with the noted upload of these bytes to this key, where the
// service still knows it, or begins one. there are the parts that it has.
func (c *client) begin(ctx context.Context, key string, want Published, opt minio.PutObjectOptions) (up upload, there map[int]part, err error) {
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

// part is a part as the service lists it; the zero value is one that it lacks.
type part minio.ObjectPart

// holds returns the part's ETag when that is the MD5 of the bytes, as it is with
// services that do not encrypt by keys of their own; else "", and the part is to
// be sent.
func (p part) holds(r *io.SectionReader) (etag string, err error) {
	if p.ETag == "" || p.Size != r.Size() {
		return "", nil
	}
	sum := md5.New()
	if _, err := io.Copy(sum, r); err != nil {
		return "", err
	}
	if etag = strings.Trim(p.ETag, `"`); etag != hex.EncodeToString(sum.Sum(nil)) {
		return "", nil
	}
	return etag, nil
}

// parts lists the upload's parts by number.
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

// refused tells that the service itself said no, to the request and not to the
// one who asks: to ask again is of no use.
func refused(err error) bool {
	switch status := minio.ToErrorResponse(err).StatusCode; status {
	case 401, 403, 408, 429:
		return false
	default:
		return status >= 400 && status < 500
	}
}

// abort takes an upload back; where that fails, a lost part costs space, not
// truth.
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

// noted is the note of the upload's like; an unreadable one counts as none.
func (c *client) noted(up upload) (upload, bool) {
	if c.unfinished == "" {
		return up, false
	}
	noted, err := readNote(c.notePath(up))
	return noted, err == nil && noted.Key == up.Key && noted.SHA256 == up.SHA256
}

func readNote(path string) (up upload, err error) {
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &up)
	}
	if err == nil && up.ID == "" {
		err = errors.New("it names no upload")
	}
	return up, err
}

func (c *client) forget(up upload) {
	if c.unfinished != "" {
		_ = os.Remove(c.notePath(up)) // one that stays leads to an upload that is gone, and a new one
	}
}

// abandon takes back the endpoint's uploads that nobody has gone on with.
func (c *client) abandon(ctx context.Context) {
	if c.unfinished == "" {
		return
	}
	_ = filepath.WalkDir(c.unfinished, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // no folder yet, or one that cannot be read: nothing to take back
		}
		up, err := readNote(path)
		if err == nil && up.URL == c.endpoint.URL && time.Since(up.Begun) > forgetAfter {
			c.abort(ctx, up)
		}
		return nil
	})
}
