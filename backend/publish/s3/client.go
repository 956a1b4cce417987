package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
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
	"regexp"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"ingot/backend/limit"
	"ingot/backend/publish"
)

// client is an endpoint's S3 client with bucket and prefix.
type client struct {
	endpoint Endpoint
	s3       *minio.Client
	http     *http.Client
	idle     func() // closes the connections that are not in use

	unfinished string // see publish.Options; "" aborts a failed upload
}

func newClient(e Endpoint) (*client, error) {
	u, err := url.Parse(e.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &publish.Error{Cause: "publish.endpoint-down", Msg: "the endpoint's address cannot be used", Fix: "write it like https://s3.example.org, without user and password"}
	}
	transport, err := transportFor(e.CAFile)
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupAuto
	if e.PathStyle {
		lookup = minio.BucketLookupPath
	}
	s3, err := minio.New(u.Host, &minio.Options{Creds: e.Credentials, Secure: u.Scheme == "https", Region: e.Region, BucketLookup: lookup, Transport: apiTransport{&limit.Transport{Base: transport, Answer: answerLimit, Stall: answerLimit}}, MaxRetries: 3})
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", e.URL, err)
	}
	return &client{endpoint: e, s3: s3, http: &http.Client{Transport: transport}, idle: transport.CloseIdleConnections}, nil
}

// close closes the connections that are not in use. The local store's server ends only
// when all have ended, also one over which nothing was sent: of several requests at once,
// one may take the connection of another that is done, and leave its own unused.
func (c *client) close() { c.idle() }

// apiTransport returns an error for a web page in place of a listing, which minio-go
// reads as that of an empty bucket. Objects may be web pages.
type apiTransport struct{ http.RoundTripper }

func (t apiTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusOK && req.URL.Query().Has("list-type") && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return nil, errors.Join(&publish.Error{Cause: "publish.not-s3", Msg: fmt.Sprintf("%s returned a web page instead of a list of the bucket", req.URL.Host)}, resp.Body.Close())
	}
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = mendBody(resp)
	}
	return resp, err
}

// bareAnd matches an ampersand that XML does not allow, as in Backblaze's "Caps &
// Alerts".
var bareAnd = regexp.MustCompile(`&([^a-zA-Z#]|$)`)

// mendBody makes the XML of an error response valid, so that its message can be read.
func mendBody(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	body = bareAnd.ReplaceAll(body, []byte("&amp;$1"))
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return err
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
		return nil, &publish.Error{Cause: "publish.tls", Msg: fmt.Sprintf("publish.caFile: %v", err)}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &publish.Error{Cause: "publish.tls", Msg: fmt.Sprintf("publish.caFile: %s has no certificate in PEM form", caFile)}
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}

func (c *client) key(name string) string {
	return strings.TrimPrefix(path.Join(c.endpoint.Prefix, name), "/")
}

// ID returns the public address of the prefix.
func (c *client) ID() string { return c.endpoint.ID() }

// PublicElsewhere reports whether readers use another address than publishers, such as
// that of a cache.
func (c *client) PublicElsewhere() bool { return c.endpoint.PublicURL != "" }

// Local reports whether it is the local store.
func (c *client) Local() bool { return c.endpoint.Local }

// Public returns the public address of an object.
func (c *client) Public(name string) string {
	if name == "" {
		return c.endpoint.public()
	}
	return c.endpoint.public() + "/" + name
}

// ReadPublic reads without credentials.
func (c *client) ReadPublic(ctx context.Context, name string, max int64) (publish.Published, error) {
	return anonymous(ctx, c.http, c.Public(name), max)
}

// Check returns an error if the bucket does not exist or may not be listed. It aborts
// uploads of this endpoint that were not resumed in time.
func (c *client) Check(ctx context.Context) error {
	// unlike BucketExists, a listing distinguishes a wrong user from a missing bucket
	err := c.list(ctx)
	if minio.ToErrorResponse(err).Code == minio.NoSuchBucket {
		return &publish.Error{Cause: "publish.no-bucket", Msg: fmt.Sprintf("there is no bucket %q at %s", c.endpoint.Bucket, c.endpoint.URL)}
	}
	if causeOf(err) == "publish.not-allowed" {
		return &publish.Error{Cause: "publish.not-allowed", Msg: fmt.Sprintf("the key may not list the bucket %q at %s (s3:ListBucket): %v", c.endpoint.Bucket, c.endpoint.URL, err), Err: err}
	}
	if err != nil {
		return err
	}
	c.abandon(ctx)
	return ctx.Err()
}

// answerLimit bounds the wait for the first answer of an endpoint. minio-go tries three
// times, a minute each, which is too long for one that does not answer; its retries
// take two seconds more.
var answerLimit = limit.Answer - time.Second

// list lists one name in the bucket.
func (c *client) list(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, answerLimit+limit.Rest) // with the client's retries
	defer cancel()
	o := <-c.s3.ListObjects(limited, c.endpoint.Bucket, minio.ListObjectsOptions{Prefix: c.key("ingot.pub"), MaxKeys: 1}) // closed without a value if there is none
	if o.Err != nil {
		return o.Err
	}
	return limited.Err()
}

// Create writes an object only if it does not exist; made is false if it did. The
// services' own checksums protect the transfer; reading back verifies it. sent, which
// may be nil, is called with the number of bytes of a large file that are stored.
func (c *client) Create(ctx context.Context, name string, f publish.File, want publish.Published, sent func(int64)) (made bool, err error) {
	key := c.key(name)
	if _, err := c.s3.StatObject(ctx, c.endpoint.Bucket, key, minio.StatObjectOptions{}); err == nil {
		c.settle(ctx, key)
		return false, nil // the caller compares it; nothing need be sent
	}
	r, err := publish.OpenFile(f)
	if err != nil {
		return false, err
	}
	defer r.Close()
	f.SHA256 = want.SHA256
	opt := minio.PutObjectOptions{ContentType: f.MediaType, PartSize: uint64(partSizeOf(want.Size))}
	opt.SetMatchETagExcept("*")
	if at, seekable := r.(io.ReaderAt); seekable && want.Size > partSize {
		err = c.createParts(ctx, key, f, at, want, opt, sent)
	} else {
		err = c.createWhole(ctx, key, f, r, opt)
	}
	if isPrecondition(err) {
		return false, nil
	}
	return err == nil, err
}

// createWhole sends a small file in one request, after its bytes were compared in
// memory: the bytes that are sent are those that were compared.
func (c *client) createWhole(ctx context.Context, key string, f publish.File, r io.Reader, opt minio.PutObjectOptions) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if sum := fmt.Sprintf("%x", sha256.Sum256(data)); sum != f.SHA256 {
		return publish.Changed(f, sum)
	}
	_, err = c.s3.PutObject(ctx, c.endpoint.Bucket, key, bytes.NewReader(data), int64(len(data)), opt)
	return err
}

func isPrecondition(err error) bool {
	resp := minio.ToErrorResponse(err)
	return err != nil && (resp.StatusCode == http.StatusPreconditionFailed || resp.StatusCode == http.StatusConflict || resp.Code == minio.PreconditionFailed)
}

func isMissing(err error) bool {
	return err != nil && minio.ToErrorResponse(err).Code == minio.NoSuchKey
}

// ReadBack reads the whole object and computes its digest; an ETag is not a digest of
// the bytes.
func (c *client) ReadBack(ctx context.Context, name string) (publish.Published, error) {
	obj, err := c.s3.GetObject(ctx, c.endpoint.Bucket, c.key(name), minio.GetObjectOptions{})
	if err != nil {
		return publish.Published{}, err
	}
	defer obj.Close()
	return publish.SHA256Of(obj)
}

// tornTries bounds how often an object is read again whose bytes and ETag do not match.
const tornTries = 20

// Get returns a small object and its ETag; ok is false if it does not exist.
func (c *client) Get(ctx context.Context, name string) (data []byte, etag string, ok bool, err error) {
	for range tornTries {
		data, etag, ok, err = c.getOnce(ctx, name)
		if err != nil || !ok || !c.torn(data, etag) {
			break
		}
	}
	return data, etag, ok, err
}

// torn reports whether data and ETag are of two writes. The local store keeps the ETag
// in a file beside the object (versitygw v1.8.0, meta.SideCar) and writes one after the
// other: with the old bytes and the new ETag, an update could undo another publisher's.
// Its ETags are the MD5 of the bytes; those of other services need not be.
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

// Replace writes a mutable object if its ETag is unchanged ("" means that it does not
// exist).
func (c *client) Replace(ctx context.Context, name string, data []byte, mediaType, etag string) error {
	opt := minio.PutObjectOptions{ContentType: mediaType, CacheControl: "no-cache"}
	if etag == "" {
		opt.SetMatchETagExcept("*")
	} else {
		opt.SetMatchETag(etag)
	}
	_, err := c.s3.PutObject(ctx, c.endpoint.Bucket, c.key(name), bytes.NewReader(data), int64(len(data)), opt)
	if isPrecondition(err) {
		return publish.ErrMoved
	}
	return err
}

// anonymous reads an address, at most max bytes, without credentials, and computes the
// size and SHA-256 of what it got.
func anonymous(ctx context.Context, client *http.Client, address string, max int64) (publish.Published, error) {
	body, err := limit.GetRanges(ctx, client, address, 0, max, limit.Stall)
	var odd *limit.AnswerError
	if errors.As(err, &odd) && odd.Silent {
		return publish.Published{}, &publish.Error{Cause: "publish.endpoint-down", Msg: odd.Error(), Err: err}
	}
	if errors.As(err, &odd) && !odd.TooLong {
		return publish.Published{}, &publish.Error{Cause: "publish.not-public", Msg: odd.Error() + " without credentials"}
	}
	if err != nil {
		return publish.Published{}, fmt.Errorf("read %s: %w", address, err)
	}
	defer body.Close()
	if strings.HasPrefix(body.ContentType, "text/html") && path.Ext(address) != ".html" {
		return publish.Published{}, &publish.Error{Cause: "publish.not-public", Msg: fmt.Sprintf("%s returns a web page, such as a login page, to a request without credentials", address)}
	}
	return publish.SHA256Of(body)
}
