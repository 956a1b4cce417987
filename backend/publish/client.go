package publish

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
)

// client is an endpoint's S3 client with the bucket and prefix applied.
type client struct {
	endpoint Endpoint
	s3       *minio.Client
	http     *http.Client

	unfinished string // see Options; "" takes a failed upload back
}

func newClient(e Endpoint) (*client, error) {
	u, err := url.Parse(e.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &Error{Cause: "publish.endpoint-down", Msg: "the endpoint's address cannot be used", Fix: "write it like https://s3.example.org, without user and password"}
	}
	transport, err := transportFor(e.CAFile)
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupAuto
	if e.PathStyle {
		lookup = minio.BucketLookupPath
	}
	s3, err := minio.New(u.Host, &minio.Options{Creds: e.Credentials, Secure: u.Scheme == "https", Region: e.Region, BucketLookup: lookup, Transport: transport, MaxRetries: 3})
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", e.URL, err)
	}
	return &client{endpoint: e, s3: s3, http: &http.Client{Transport: transport}}, nil
}

func transportFor(caFile string) (*http.Transport, error) {
	t, err := minio.DefaultTransport(true)
	if err != nil {
		return nil, err
	}
	t.Proxy = http.ProxyFromEnvironment
	if caFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, &Error{Cause: "publish.tls", Msg: fmt.Sprintf("publish.caFile: %v", err)}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &Error{Cause: "publish.tls", Msg: fmt.Sprintf("publish.caFile: %s holds no certificate in PEM form", caFile)}
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}

func (c *client) key(name string) string {
	return strings.TrimPrefix(path.Join(c.endpoint.Prefix, name), "/")
}

func (c *client) checkBucket(ctx context.Context) error {
	// unlike BucketExists, a listing tells a wrong user from a missing bucket
	_, err := minio.Core{Client: c.s3}.ListObjectsV2(c.endpoint.Bucket, c.key("ingot.pub"), "", "", "", 1)
	if minio.ToErrorResponse(err).Code == minio.NoSuchBucket {
		return &Error{Cause: "publish.no-bucket", Msg: fmt.Sprintf("there is no bucket %q at %s", c.endpoint.Bucket, c.endpoint.URL)}
	}
	if err != nil {
		return err
	}
	return ctx.Err()
}

// create writes an object only if there is none; made is false when one was
// there. The services' own checksums guard the way; the read-back proves it. sent
// is told how much of a large file is there; it may be nil.
func (c *client) create(ctx context.Context, name string, f File, want Published, sent func(int64)) (made bool, err error) {
	key := c.key(name)
	if _, err := c.s3.StatObject(ctx, c.endpoint.Bucket, key, minio.StatObjectOptions{}); err == nil {
		return false, nil // the read-back compares it; nothing need be sent
	}
	r, err := openFile(f)
	if err != nil {
		return false, err
	}
	defer r.Close()
	opt := minio.PutObjectOptions{ContentType: f.MediaType, PartSize: partSize}
	opt.SetMatchETagExcept("*")
	if at, seekable := r.(io.ReaderAt); seekable && want.Size > partSize {
		err = c.createParts(ctx, key, at, want, opt, sent)
	} else {
		_, err = c.s3.PutObject(ctx, c.endpoint.Bucket, key, r, want.Size, opt)
	}
	if isPrecondition(err) {
		return false, nil
	}
	return err == nil, err
}

func isPrecondition(err error) bool {
	resp := minio.ToErrorResponse(err)
	return err != nil && (resp.StatusCode == http.StatusPreconditionFailed || resp.StatusCode == http.StatusConflict || resp.Code == minio.PreconditionFailed)
}

func isMissing(err error) bool {
	return err != nil && minio.ToErrorResponse(err).Code == minio.NoSuchKey
}

// readBack reads the whole object and takes its digest; an ETag is no digest
// of the bytes.
func (c *client) readBack(ctx context.Context, name string) (Published, error) {
	obj, err := c.s3.GetObject(ctx, c.endpoint.Bucket, c.key(name), minio.GetObjectOptions{})
	if err != nil {
		return Published{}, err
	}
	defer obj.Close()
	return digestReader(obj)
}

// get returns a small object and its ETag; ok is false when there is none.
func (c *client) get(ctx context.Context, name string) (data []byte, etag string, ok bool, err error) {
	for range catalogueTries {
		data, etag, ok, err = c.getOnce(ctx, name)
		if err != nil || !ok || !c.torn(data, etag) {
			break
		}
	}
	return data, etag, ok, err
}

// torn tells whether data and ETag are of two writes. The local store keeps the
// ETag in a file beside the object's (versitygw v1.8.0, meta.SideCar) and writes
// one after the other: the old bytes with the new ETag would let an update undo
// somebody else's. Its ETags are the MD5 of the bytes; those of other services
// need not be.
func (c *client) torn(data []byte, etag string) bool {
	sum := md5.Sum(data)
	return c.endpoint.Local && etag != hex.EncodeToString(sum[:])
}

func (c *client) getOnce(ctx context.Context, name string) (data []byte, etag string, ok bool, err error) {
	obj, err := c.s3.GetObject(ctx, c.endpoint.Bucket, c.key(name), minio.GetObjectOptions{})
	if err != nil {
		return nil, "", false, err
	}
	defer obj.Close()
	data, err = io.ReadAll(obj)
	if isMissing(err) {
		return nil, "", false, nil
	}
	if err != nil {
		return nil, "", false, err
	}
	info, err := obj.Stat()
	return data, info.ETag, err == nil, err
}

// errMoved says that a mutable object was changed by somebody else meanwhile.
var errMoved = errors.New("the object was changed meanwhile")

// replace writes a mutable object if it still has the ETag ("" if there still
// is none).
func (c *client) replace(ctx context.Context, name string, data []byte, mediaType, etag string) error {
	opt := minio.PutObjectOptions{ContentType: mediaType, CacheControl: "no-cache"}
	if etag == "" {
		opt.SetMatchETagExcept("*")
	} else {
		opt.SetMatchETag(etag)
	}
	_, err := c.s3.PutObject(ctx, c.endpoint.Bucket, c.key(name), bytes.NewReader(data), int64(len(data)), opt)
	if isPrecondition(err) {
		return errMoved
	}
	return err
}

// anonymous reads an address as anybody would.
func anonymous(ctx context.Context, client *http.Client, address string) (Published, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Published{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return Published{}, fmt.Errorf("read %s: %w", address, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Published{}, &Error{Cause: "publish.not-public", Msg: fmt.Sprintf("%s answers %s without credentials", address, resp.Status)}
	}
	return digestReader(resp.Body)
}
