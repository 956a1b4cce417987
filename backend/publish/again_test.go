package publish_test

import (
	"crypto/ed25519"
	"errors"
	"testing"

	"ingot/backend/publish"
	"ingot/backend/publish/publishtest"
	"ingot/backend/publish/s3"
)

// The same disk published again is the same release, even if more was recorded since:
// another version of Ingot, a document about another guest. Another disk under the same
// version is a conflict, and so is a release that another publisher signed.
func TestPublishedAgain(t *testing.T) {
	s, e, r := publishtest.Signer(t), at(t), publishtest.Release(t, "1")
	opt := publish.Options{Signer: s, Keys: map[string]ed25519.PublicKey{s.KeyID(): s.Public()}}
	first, err := s3.Publish(t.Context(), e, r, opt)
	if err != nil {
		t.Fatal(err)
	}
	manifest := string(fetchURL(t, first.URL+"manifest.json"))
	later := r
	later.Tools = map[string]string{"ingot": "2"}
	later.Files = append(append([]publish.File{}, r.Files...), publish.File{Name: "evidence/guest-2.json", Data: []byte("{}"), MediaType: "application/json"})
	again, err := s3.Publish(t.Context(), e, later, opt)
	if err != nil || again.DiskSHA256 != first.DiskSHA256 || again.URL != first.URL || !again.Anonymous || len(again.Files) != len(first.Files) {
		t.Errorf("%+v, %v", again, err)
	}
	if now := string(fetchURL(t, first.URL+"manifest.json")); now != manifest {
		t.Errorf("the manifest was changed:\n%s", now)
	}
	var perr *publish.Error
	if _, err := s3.Publish(t.Context(), e, publishtest.Release(t, "1"), opt); !errors.As(err, &perr) || perr.Cause != "publish.conflict" {
		t.Errorf("another disk: %v", err)
	}
	stranger := publishtest.Signer(t)
	if _, err := s3.Publish(t.Context(), e, later, publish.Options{Signer: stranger, Keys: map[string]ed25519.PublicKey{stranger.KeyID(): stranger.Public()}}); !errors.As(err, &perr) || perr.Cause != "publish.conflict" {
		t.Errorf("another publisher: %v", err)
	}
}
