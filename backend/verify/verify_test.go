package verify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ingot/backend"
	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/hometest"
	"ingot/backend/publish"
	"ingot/backend/secret"
)

// proofOf returns a signed proof of a file's bytes.
func proofOf(t *testing.T, s *secret.Signer, name, text string) evidence.Document {
	t.Helper()
	return judgedProof(t, s, name, text, evidence.Passed)
}

func judgedProof(t *testing.T, s *secret.Signer, name, text string, verdict evidence.Verdict) evidence.Document {
	t.Helper()
	head := evidence.Head{APIVersion: "ingot/v1", Kind: evidence.KindProof, Target: "t", Build: "b", Verdict: verdict}
	d, err := evidence.Seal(context.Background(), s, evidence.Subject{Name: name, Digest: map[string]string{"sha256": hometest.DigestOf(text)}}, head, evidence.Proof{Head: head, Artifact: name})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// published serves a release of the files, with a list signed by the key, and returns
// its address.
func published(t *testing.T, s *secret.Signer, files map[string]string, docs ...evidence.Document) string {
	t.Helper()
	srv := httptest.NewServer(http.FileServer(http.Dir(strings.TrimSuffix(folderOf(t, s, files, docs...), releasePath))))
	t.Cleanup(srv.Close)
	return srv.URL + "/" + releasePath + "/"
}

// releasePath is the path of the releases in these tests.
const releasePath = "debian/12/arm64/20260101-0000"

// folderOf writes such a release to a folder.
func folderOf(t *testing.T, s *secret.Signer, files map[string]string, docs ...evidence.Document) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), filepath.FromSlash(releasePath))
	var sums, sizes []string
	for _, d := range docs {
		files["evidence/"+d.ID+".json"] = string(d.Envelope)
	}
	for name, text := range files {
		sizes = append(sizes, fmt.Sprintf(`{"name": %q, "size": %d}`, name, len(text)))
	}
	files["manifest.json"] = `{"files": [` + strings.Join(sizes, ", ") + `]}`
	for name, text := range files {
		sums = append(sums, hometest.DigestOf(text)+"  "+name+"\n")
	}
	slices.Sort(sums)
	list := strings.Join(sums, "")
	files["SHA256SUMS"], files["SHA256SUMS.minisig"] = list, string(s.MinisignSign([]byte(list), releasePath+" SHA256SUMS"))
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// verify returns the result of a verification and its cause id, "" for none.
func verify(t *testing.T, b *backend.Backend, opt Options) (Verified, string) {
	t.Helper()
	got, err := Check(context.Background(), b, opt)
	var bad *backend.VerifyError
	if err != nil && !errors.As(err, &bad) {
		t.Fatalf("%s: %v", opt.Subject, err)
	}
	if bad != nil {
		return got, bad.Cause
	}
	return got, ""
}

// Of a release with several formats the disk that was booted is verified, and the files
// of all formats are compared.
func TestVerifySeveralFormats(t *testing.T) {
	b := hometest.Open(t)
	for name, c := range map[string]struct {
		proven string
		cause  string
		disk   string
	}{
		"qcow2 is proven": {"d.qcow2", "", "qcow2 bytes"},
		"raw is proven":   {"d.raw", "", "raw bytes"},
		"none is proven":  {"other", "publish.unproven", "qcow2 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"d.qcow2": "qcow2 bytes", "d.raw": "raw bytes"}
			got, cause := verify(t, b, Options{Subject: published(t, b.Signer, files, proofOf(t, b.Signer, c.proven, files[c.proven]))})
			if cause != c.cause || got.Files != 4 || got.SHA256 != hometest.DigestOf(c.disk) {
				t.Errorf("%+v, cause %q", got, cause)
			}
		})
	}
	// a release that was published without a passed proof holds the failed one
	failure := map[string]string{"d.qcow2": "qcow2 bytes"}
	if _, cause := verify(t, b, Options{Subject: published(t, b.Signer, failure, judgedProof(t, b.Signer, "d.qcow2", "qcow2 bytes", evidence.Failed))}); cause != "publish.unproven" {
		t.Errorf("a failed proof: cause %q", cause)
	}
	files := map[string]string{"d.qcow2": "qcow2 bytes", "d.raw": "raw bytes"}
	address := published(t, b.Signer, files, proofOf(t, b.Signer, "d.qcow2", "qcow2 bytes"))
	for name, list := range map[string]string{"changed": strings.Replace(files["SHA256SUMS"], hometest.DigestOf("raw bytes"), hometest.DigestOf("evil"), 1), "whole": files["SHA256SUMS"]} {
		v := &verification{Backend: b, keys: b.Keys, base: address, reader: publish.HTTPReader{Base: address}, out: Verified{Docs: map[string]string{}}}
		if err := v.files(context.Background(), []byte(list)); (err != nil) != (name == "changed") {
			t.Errorf("the file that is not proven is %s: %v", name, err)
		}
	}
}

// Without --key, what the home signed before its key was changed is trusted; with
// --key, only what that key signed. The key of another publisher is not trusted.
func TestVerifyAfterRotation(t *testing.T) {
	b := hometest.Open(t)
	old, files := b.Signer, func() map[string]string { return map[string]string{"d.qcow2": "bytes"} }
	folder, err := b.Ledger.Build("t", "b")
	if err != nil {
		t.Fatal(err)
	}
	d := proofOf(t, old, "d.qcow2", "bytes")
	if _, err := folder.Include(t.Context(), b.Author(), d); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "d.qcow2")
	if err := os.WriteFile(file, []byte("bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := published(t, old, files(), d)
	fresh, err := b.RotateKey(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	b = hometest.Reopen(t)
	stranger, err := secret.LoadOrCreateSigner(secret.Files{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	keyOf := func(s *secret.Signer) string {
		f := filepath.Join(t.TempDir(), "ingot.pub")
		if err := os.WriteFile(f, []byte(s.MinisignPublic()), 0o600); err != nil {
			t.Fatal(err)
		}
		return f
	}
	after := published(t, b.Signer, files(), d)
	withKey := files()
	withKey["evidence/"+old.KeyID()+".pub"] = old.MinisignPublic()
	vouched := published(t, b.Signer, withKey, d)
	broken := files()
	broken["evidence/x.pub"] = "no key"
	foreign := published(t, stranger, files(), proofOf(t, stranger, "d.qcow2", "bytes"))
	for name, c := range map[string]struct {
		subject, key string
		cause, id    string
	}{
		"the file":                        {file, "", "", old.KeyID()},
		"the release of before":           {before, "", "", old.KeyID()},
		"a release of now":                {after, "", "", fresh},
		"the release of before, by name":  {before, keyOf(old), "", old.KeyID()},
		"the release of before, new key":  {before, keyOf(b.Signer), "evidence.foreign-key", fresh},
		"a release of now, new key":       {after, keyOf(b.Signer), "evidence.foreign-key", fresh},
		"one that holds the old key":      {vouched, keyOf(b.Signer), "", fresh},
		"that one, a stranger's key":      {vouched, keyOf(stranger), "evidence.foreign-key", stranger.KeyID()},
		"one that holds a broken key":     {published(t, b.Signer, broken, d), "", "evidence.unreadable", fresh},
		"a stranger's release":            {foreign, "", "evidence.foreign-key", fresh},
		"a stranger's release, by name":   {foreign, keyOf(stranger), "", stranger.KeyID()},
		"the file, with a stranger's key": {file, keyOf(stranger), "image.digest-changed", stranger.KeyID()},
	} {
		got, cause := verify(t, b, Options{Subject: c.subject, KeyFile: c.key})
		if cause != c.cause || got.Key != c.id || cause == "" && len(got.Proofs) != 1 {
			t.Errorf("%s: cause %q, key %s, %d proofs; want %q, %s", name, cause, got.Key, len(got.Proofs), c.cause, c.id)
		}
	}
}

// A release in a folder is verified like one at an address: intact, and with one byte
// changed.
func TestVerifyFolder(t *testing.T) {
	b := hometest.Open(t)
	const disk = "the disk"
	dir := folderOf(t, b.Signer, map[string]string{"d.qcow2": disk}, proofOf(t, b.Signer, "d.qcow2", disk))
	for _, subject := range []string{dir, dir + "/", "file://" + dir} {
		v, err := Check(t.Context(), b, Options{Subject: subject})
		if err != nil || v.Files != 3 || len(v.Proofs) != 1 {
			t.Errorf("%s: %+v, %v", subject, v, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "d.qcow2"), []byte("the dusk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(t.Context(), b, Options{Subject: dir}); cause.IDOf(err) != "image.digest-changed" {
		t.Errorf("one byte changed: %v", err)
	}
	if _, err := Check(t.Context(), b, Options{Subject: t.TempDir()}); cause.IDOf(err) != "publish.unreachable" {
		t.Errorf("an empty folder: %v", err)
	}
}
