package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7"

	"ingot/backend/limit"
	"ingot/backend/publish"
)

// Probe tests what publishing needs of an endpoint, on a separate object that it
// removes again. It returns an error if nothing could be tested: no connection, no
// bucket, wrong credentials.
func Probe(ctx context.Context, e Endpoint) ([]publish.Ability, error) {
	c, err := newClient(e)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.Check(ctx); err != nil {
		return nil, classify(err)
	}
	p := &probe{client: c, name: "ingot-probe-" + rand.Text()}
	err = p.run(ctx)
	cerr := c.s3.RemoveObject(context.WithoutCancel(ctx), e.Bucket, c.key(p.name), minio.RemoveObjectOptions{})
	p.saw("delete", "the object of this test is deleted; publishing itself deletes nothing", true, nil)
	if cerr != nil { // a key without that right can publish
		p.found[len(p.found)-1].Seen = fmt.Sprintf("%s was not deleted: %v", c.key(p.name), classify(cerr))
	}
	return p.found, classify(err)
}

type probe struct {
	*client
	name  string
	found []publish.Ability
}

func (p *probe) saw(name, why string, ok bool, err error) {
	a := publish.Ability{Name: name, OK: ok, Why: why}
	if err != nil && !ok {
		a.Seen = classify(err).Error()
	}
	p.found = append(p.found, a)
}

// run runs the tests in order; an error means that the others could not run.
func (p *probe) run(ctx context.Context) error {
	first, second := []byte("first "+p.name), []byte("second "+p.name)
	if err := p.Replace(ctx, p.name, first, "text/plain", ""); err != nil {
		return err
	}
	p.saw("write", "files can be written", true, nil)
	err := p.Replace(ctx, p.name, second, "text/plain", "")
	p.saw("create only", "a published file is never overwritten (If-None-Match)", errors.Is(err, publish.ErrMoved), overwritten(err))

	data, _, ok, err := p.Get(ctx, p.name)
	p.saw("read back", "a written file is read back and hashed", ok && bytes.Equal(data, first), err)
	if !ok {
		return err
	}
	err = p.Replace(ctx, p.name, second, "text/plain", `"0123456789abcdef0123456789abcdef"`)
	p.saw("refuse a lost update", "of two concurrent publishers, both are in the index (If-Match)", errors.Is(err, publish.ErrMoved), overwritten(err))
	_, etag, _, err := p.Get(ctx, p.name)
	if err != nil {
		return err
	}
	err = p.Replace(ctx, p.name, second, "text/plain", etag)
	p.saw("update", "the index is replaced only if it is unchanged (If-Match)", err == nil, err)

	address := p.endpoint.public() + "/" + p.name
	got, err := anonymous(ctx, p.http, address, limit.Settings)
	want, derr := publish.SHA256Of(bytes.NewReader(second))
	p.saw("public", "anybody can read what is published, at "+p.endpoint.public(), err == nil && derr == nil && got.SHA256 == want.SHA256, err)
	return nil
}

// overwritten returns an error if a condition was ignored.
func overwritten(err error) error {
	if err == nil {
		return &publish.Error{Cause: "publish.failed", Msg: "the endpoint overwrote the object although the condition was not met"}
	}
	return err
}
