package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"ingot/backend/home"
	"ingot/backend/limit"
)

// forgetAfter is the age of the note of an unfinished upload after which the upload is
// aborted; its parts use space until then.
const forgetAfter = 7 * 24 * time.Hour

// upload is a multipart upload that has begun, or is about to. From before it begins
// until its end a note of it is in the folder of unfinished uploads, so that the next
// publish to the same key can resume it.
type upload struct {
	URL, Bucket, Key string
	ID               string // the service's id; "" in a note that was written just before it was asked for
	Begun            time.Time
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
