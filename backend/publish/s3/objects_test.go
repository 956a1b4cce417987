package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"ingot/backend/publish"
)

// Objects match the digest in their names, or reading them is an error. No more bytes
// are written than were requested, and names from another computer cannot lead outside.
func TestObjects(t *testing.T) {
	e := at(t)
	o, err := OpenObjects(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(strings.Repeat("travels ", 1000))
	sum := sha256.Sum256(text)
	digest := hex.EncodeToString(sum[:])
	for range 2 { // the second time it exists
		p, err := o.Put(t.Context(), "b1", publish.File{Name: "x", Data: text})
		if err != nil || p.SHA256 != digest || p.Size != int64(len(text)) {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	var got bytes.Buffer
	if err := o.Get(t.Context(), "b1", digest, int64(len(text)), &got); err != nil || !bytes.Equal(got.Bytes(), text) {
		t.Fatalf("%d bytes, %v", got.Len(), err)
	}
	spoil := func(data string) {
		if _, err := o.c.s3.PutObject(context.Background(), e.Bucket, o.c.key("b1/"+digest), strings.NewReader(data), int64(len(data)), minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range map[string]string{"a changed byte": "T" + string(text[1:]), "longer": string(text) + "x", "shorter": string(text[1:])} {
		spoil(data)
		got.Reset()
		var other *publish.OtherBytesError
		if err := o.Get(t.Context(), "b1", digest, int64(len(text)), &got); !errors.As(err, &other) || got.Len() > len(text) {
			t.Errorf("%s: %d bytes, %v", name, got.Len(), err)
		}
	}
	for _, bad := range []struct{ folder, digest string }{{"..", digest}, {"b1/..", digest}, {"", digest}, {"b1", "../" + digest}, {"b1", "abc"}, {"b1", ""}} {
		if err := o.Get(t.Context(), bad.folder, bad.digest, 10, &got); err == nil {
			t.Errorf("%q/%q was read", bad.folder, bad.digest)
		}
	}
	if err := o.Clear(t.Context(), "b1"); err != nil {
		t.Fatal(err)
	}
	var gone *publish.OtherBytesError
	if err := o.Get(t.Context(), "b1", digest, int64(len(text)), &got); !errors.As(err, &gone) || gone.Got != "" {
		t.Errorf("after the folder was cleared: %v", err)
	}
	e.Bucket = "nosuch"
	var perr *publish.Error
	if _, err := OpenObjects(t.Context(), e); !errors.As(err, &perr) || perr.Cause != "publish.no-bucket" {
		t.Errorf("no bucket: %v", err)
	}
}
