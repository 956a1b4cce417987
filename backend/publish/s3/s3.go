// Package s3 publishes to S3-compatible storage: an endpoint of the configuration, and
// the local store, an S3 server for a folder. It also stores the objects that the
// computers of a team exchange.
//
// External facts: S3's conditional writes (If-None-Match, If-Match) and multipart
// uploads; minio-go's errors contain no credentials.
package s3

import (
	"context"
	"strings"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"ingot/backend/home"
	"ingot/backend/publish"
	"ingot/backend/secret"
)

// Endpoint is a prefix in a bucket of a storage service. PublicURL is the address at
// which the prefix can be read without credentials; "" means URL/Bucket.
type Endpoint struct {
	URL, Region, Bucket, Prefix string
	PathStyle                   bool
	CAFile                      string
	PublicURL                   string
	Local                       bool // only this computer's local store serves it
	Credentials                 *credentials.Credentials
}

// public returns the base address of the prefix for anonymous readers.
func (e Endpoint) public() string {
	base := strings.TrimSuffix(e.PublicURL, "/")
	if base == "" {
		base = strings.TrimSuffix(e.URL, "/") + "/" + e.Bucket
		if e.Prefix != "" {
			base += "/" + strings.Trim(e.Prefix, "/")
		}
	}
	return base
}

// ID returns the endpoint's name for input keys; it contains no secret.
func (e Endpoint) ID() string { return e.public() }

// Configured returns the endpoint of config.yaml's publish section with its
// credentials.
func Configured(c home.PublishConfig, secrets secret.Store) (Endpoint, error) {
	creds, err := Credentials(c.Credentials, c.Profile, c.Endpoint, secrets)
	if err != nil {
		return Endpoint{}, err
	}
	pathStyle := c.PathStyle == nil || *c.PathStyle
	return Endpoint{URL: c.Endpoint, Region: c.Region, Bucket: c.Bucket, Prefix: c.Prefix, PathStyle: pathStyle, CAFile: c.CAFile, PublicURL: c.PublicURL, Credentials: creds}, nil
}

// Publisher is an endpoint as a publisher.
type Publisher struct{ Endpoint }

// Local reports whether it is the local store.
func (p Publisher) Local() bool { return p.Endpoint.Local }

// Probe tests the endpoint with a separate object; see the function Probe.
func (p Publisher) Probe(ctx context.Context) ([]publish.Ability, error) {
	return Probe(ctx, p.Endpoint)
}

// Publish uploads the release.
func (p Publisher) Publish(ctx context.Context, r publish.Release, opt publish.Options) (publish.Receipt, error) {
	return Publish(ctx, p.Endpoint, r, opt)
}

// Publish uploads the release to an endpoint; see publish.Publisher.
func Publish(ctx context.Context, e Endpoint, r publish.Release, opt publish.Options) (publish.Receipt, error) {
	c, err := newClient(e)
	if err != nil {
		return publish.Receipt{}, classify(err)
	}
	defer c.close()
	c.unfinished = opt.Unfinished
	if opt.HTTP != nil {
		c.http = opt.HTTP
	}
	return publish.ToStore(ctx, c, r, opt)
}

// classify adds a cause to an error of the storage.
func classify(err error) error { return publish.Classify(err, causeOf) }

// CauseOf returns the cause of an error response of the storage.
func (c *client) CauseOf(err error) string { return causeOf(err) }
