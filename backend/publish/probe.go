package publish

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"

	"github.com/minio/minio-go/v7"
)

// Ability is one thing that publishing needs of an endpoint, as it was tried.
type Ability struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Why  string `json:"why"`            // what publishing needs it for
	Seen string `json:"seen,omitempty"` // what happened instead
}

// Probe tries what publishing needs of an endpoint, on an object of its own
// that it removes again. It fails where nothing can be tried: no connection, no
// bucket, wrong credentials.
func Probe(ctx context.Context, e Endpoint) ([]Ability, error) {
	c, err := newClient(e)
	if err != nil {
		return nil, err
	}
	if err := c.checkBucket(ctx); err != nil {
		return nil, classify(err)
	}
	p := &probe{client: c, name: "ingot-probe-" + rand.Text()}
	err = p.run(ctx)
	cerr := c.s3.RemoveObject(context.WithoutCancel(ctx), e.Bucket, c.key(p.name), minio.RemoveObjectOptions{})
	p.saw("delete", "the object of this test goes away; publishing itself deletes nothing", cerr == nil, cerr)
	return p.found, classify(err)
}

type probe struct {
	*client
	name  string
	found []Ability
}

func (p *probe) saw(name, why string, ok bool, err error) {
	a := Ability{Name: name, OK: ok, Why: why}
	if err != nil && !ok {
		a.Seen = classify(err).Error()
	}
	p.found = append(p.found, a)
}

// run tries one after another; an error means that the rest could not be tried.
func (p *probe) run(ctx context.Context) error {
	first, second := []byte("first "+p.name), []byte("second "+p.name)
	if err := p.replace(ctx, p.name, first, "text/plain", ""); err != nil {
		return err
	}
	p.saw("write", "files are written", true, nil)
	err := p.replace(ctx, p.name, second, "text/plain", "")
	p.saw("create only", "a published file is never overwritten (If-None-Match)", errors.Is(err, errMoved), overwritten(err))

	data, _, ok, err := p.get(ctx, p.name)
	p.saw("read back", "what was written is read and hashed", ok && bytes.Equal(data, first), err)
	if !ok {
		return err
	}
	err = p.replace(ctx, p.name, second, "text/plain", `"0123456789abcdef0123456789abcdef"`)
	p.saw("refuse a lost update", "two publishers at once both end in the index (If-Match)", errors.Is(err, errMoved), overwritten(err))
	_, etag, _, err := p.get(ctx, p.name)
	if err != nil {
		return err
	}
	err = p.replace(ctx, p.name, second, "text/plain", etag)
	p.saw("update", "the index is replaced when it is as it was read (If-Match)", err == nil, err)

	address := p.endpoint.public() + "/" + p.name
	got, err := anonymous(ctx, p.http, address)
	want, derr := digestReader(bytes.NewReader(second))
	p.saw("public", "anybody reads what is published, at "+p.endpoint.public(), err == nil && derr == nil && got.SHA256 == want.SHA256, err)
	return nil
}

// overwritten is what is wrong when a condition was not kept.
func overwritten(err error) error {
	if err == nil {
		return &Error{Cause: "publish.failed", Msg: "the endpoint overwrote the object although the condition did not hold"}
	}
	return err
}
