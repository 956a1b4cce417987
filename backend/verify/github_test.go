package verify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/cause"
	"ingot/backend/hometest"
	"ingot/backend/publish"
	"ingot/backend/publish/github"
	"ingot/backend/publish/github/githubtest"
)

// A release on GitHub is verified and fetched by its tag; what was changed there is found,
// also within the bundle.
func TestVerifyGitHub(t *testing.T) {
	b := hometest.Open(t)
	h := githubtest.Start(t)
	const text = "the bytes of a disk"
	proof := proofOf(t, b.Signer, "d.qcow2", text)
	disk := filepath.Join(t.TempDir(), "d.qcow2")
	if err := os.WriteFile(disk, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	to, err := github.Open("owner/images", h.Auth)
	if err != nil {
		t.Fatal(err)
	}
	rel := publish.Release{OS: "debian", Release: "12", Variant: "server", Arch: "arm64", Version: "20260101-0000", Proven: true, Proof: proof.ID,
		Files: []publish.File{{Name: "d.qcow2", Path: disk, SHA256: hometest.DigestOf(text), MediaType: "application/octet-stream", Disk: true},
			{Name: "evidence/" + proof.ID + ".json", Data: proof.Envelope, MediaType: "application/json"}}}
	if _, err := to.Publish(t.Context(), rel, publish.Options{Signer: b.Signer, Keys: b.OwnKeys}); err != nil {
		t.Fatal(err)
	}
	tag := github.Tag(rel.Dir())
	subject := "github:owner/images@" + tag
	v, err := Check(t.Context(), b, Options{Subject: subject})
	if err != nil || v.SHA256 != hometest.DigestOf(text) || len(v.Proofs) != 1 || v.Proofs[0] != proof.ID {
		t.Fatalf("%+v, %v", v, err)
	}
	p, err := Pull(t.Context(), b, PullOptions{Subject: subject, To: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(p.File); err != nil || string(got) != text {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"github:owner/images", "github:owner/images@", "github:owner@" + tag} {
		if _, err := Check(t.Context(), b, Options{Subject: bad}); cause.ClassOf(err) != cause.Input {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := Check(t.Context(), b, Options{Subject: "github:owner/images@none"}); cause.IDOf(err) != "publish.unreachable" {
		t.Errorf("no such release: %v", err)
	}
	h.Copy(tag, "debian-12-arm64-20260101-0001")
	if _, err := Check(t.Context(), b, Options{Subject: "github:owner/images@debian-12-arm64-20260101-0001"}); cause.IDOf(err) != "evidence.misplaced" {
		t.Errorf("a copy under another tag: %v", err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"d.qcow2": func(d []byte) []byte { d[0] ^= 1; return d },
		"evidence.tar": func(d []byte) []byte {
			return []byte(strings.Replace(string(d), proof.KeyID, strings.Repeat("0", len(proof.KeyID)), 1))
		},
	} {
		var was []byte
		h.Alter(tag, name, func(d []byte) []byte { was = append(was, d...); return change(d) })
		if _, err := Check(t.Context(), b, Options{Subject: subject}); cause.IDOf(err) != "image.digest-changed" {
			t.Errorf("%s was changed: %v (%s)", name, err, cause.IDOf(err))
		}
		h.Alter(tag, name, func([]byte) []byte { return was })
	}
}
