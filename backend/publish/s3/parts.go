package s3

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

// partsAtOnce is how many parts are sent at the same time. Each is in memory meanwhile:
// on a line with a delay one connection uses a fraction of it.
var partsAtOnce = defaultParts // tests change it

const defaultParts = 8

// upload is a multipart upload that has begun, or is about to. From before it begins
// until its end a note of it is in the folder of unfinished uploads, so that the next
// publish to the same key can resume it.
type upload struct {
	URL, Bucket, Key string
	ID               string // the service's id; "" in a note that was written just before it was asked for
	Begun            time.Time
}

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
	parts := make([]minio.CompletePart, (s.size+partSize-1)/partSize)
	free := make(chan []byte, min(partsAtOnce, len(parts)))
	for range cap(free) {
		free <- make([]byte, min(partSize, s.size))
	}
	sum := sha256.New()
	var running sync.WaitGroup
	for i := range parts {
		buf := <-free
		if s.failed() != nil || ctx.Err() != nil {
			break
		}
		data := buf[:min(partSize, s.size-int64(i)*partSize)]
		if _, err := r.ReadAt(data, int64(i)*partSize); err != nil {
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

// notePath does not depend on the endpoint's address: that of the local store changes
// with its port.
func (c *client) notePath(up upload) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{up.Bucket, up.Key}, "\x00")))
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

// noted returns the noted upload to the same key. If the note has no id, or is torn, a
// publish was ended just when it began its upload: then that is looked for.
func (c *client) noted(ctx context.Context, up upload) (upload, bool) {
	if c.unfinished == "" {
		return up, false
	}
	noted, err := readNote(c.notePath(up))
	if errors.Is(err, fs.ErrNotExist) {
		return up, false
	}
	if err == nil && noted.Key == up.Key && noted.Bucket == up.Bucket && noted.ID != "" {
		return noted, true
	}
	begun, err := c.begunTo(ctx, up.Key)
	if err != nil || len(begun) == 0 { // a key that may not list them begins anew
		return up, false
	}
	up.ID = begun[len(begun)-1].UploadID
	return up, true
}

// begunTo lists the unfinished uploads to a key, the newest last.
func (c *client) begunTo(ctx context.Context, key string) (begun []minio.ObjectMultipartInfo, err error) {
	list, err := minio.Core{Client: c.s3}.ListMultipartUploads(ctx, c.endpoint.Bucket, key, "", "", "", 1000)
	if err != nil {
		return nil, err
	}
	for _, u := range list.Uploads {
		if u.Key == key {
			begun = append(begun, u)
		}
	}
	slices.SortStableFunc(begun, func(a, b minio.ObjectMultipartInfo) int { return a.Initiated.Compare(b.Initiated) })
	return begun, nil
}

// abortAll aborts the unfinished uploads to a key and reports whether none is left. A
// key that may not list them leaves them.
func (c *client) abortAll(ctx context.Context, key string) (none bool) {
	begun, err := c.begunTo(ctx, key)
	none = err == nil
	for _, u := range begun {
		if !c.abort(ctx, upload{Bucket: c.endpoint.Bucket, Key: key, ID: u.UploadID}) {
			none = false
		}
	}
	return none
}

// settle ends what is noted of an upload to a key whose object exists: the publisher was
// killed after it had joined the parts, or another one was faster.
func (c *client) settle(ctx context.Context, key string) {
	if c.unfinished == "" {
		return
	}
	path := c.notePath(upload{Bucket: c.endpoint.Bucket, Key: key})
	if up, err := readNote(path); errors.Is(err, fs.ErrNotExist) || err == nil && up.ID != "" && !c.abort(ctx, up) {
		return
	}
	if c.abortAll(ctx, key) {
		_ = os.Remove(path) // one that stays is read again by the next publish
	}
}

// readNote reads a note. That of an upload whose id is not known yet has none.
func readNote(path string) (up upload, err error) {
	b, err := limit.ReadFile(path, limit.Settings)
	if err == nil {
		err = json.Unmarshal(b, &up)
	}
	if err == nil && up.Key == "" {
		err = errors.New("it has no key")
	}
	return up, err
}

// setAside keeps the note of an upload that this endpoint does not know, if it was begun
// at another address: there it is aborted when it is old.
func (c *client) setAside(up upload) {
	if up.URL != c.endpoint.URL {
		sum := sha256.Sum256([]byte(up.URL))
		_ = os.Rename(c.notePath(up), c.notePath(up)+"-"+hex.EncodeToString(sum[:4])) // a lost note leaves parts that only use space
	}
}

// forget removes the note of an upload, if it is about that one.
func (c *client) forget(up upload) {
	if c.unfinished == "" {
		return
	}
	if noted, err := readNote(c.notePath(up)); err == nil && noted.ID == up.ID {
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
		if info, err := d.Info(); err == nil && strings.HasPrefix(d.Name(), ".tmp-") && time.Since(info.ModTime()) > forgetAfter {
			_ = os.Remove(path) // of a note whose writer was killed
		}
		up, err := readNote(path)
		if err != nil || up.URL != c.endpoint.URL || up.Bucket != c.endpoint.Bucket || time.Since(up.Begun) <= forgetAfter {
			return nil
		}
		gone := false
		if up.ID == "" {
			gone = c.abortAll(ctx, up.Key)
		} else {
			gone = c.abort(ctx, up)
		}
		if gone {
			_ = os.Remove(path)
		}
		return nil
	})
}
