package backend

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ingot/backend/evidence"
	"ingot/backend/secret"
)

// openHome opens a fresh home, whose keys lie in files.
func openHome(t *testing.T) *Backend {
	t.Helper()
	t.Setenv("INGOT_HOME", t.TempDir())
	t.Setenv("INGOT_KEYCHAIN", "off")
	return reopen(t)
}

// reopen opens the home of before afresh, as the next command would.
func reopen(t *testing.T) *Backend {
	t.Helper()
	b, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// proofOf is a signed proof of a file's bytes.
func proofOf(t *testing.T, s *secret.Signer, name, text string) evidence.Document {
	t.Helper()
	return judgedProof(t, s, name, text, evidence.Passed)
}

func judgedProof(t *testing.T, s *secret.Signer, name, text string, verdict evidence.Verdict) evidence.Document {
	t.Helper()
	head := evidence.Head{APIVersion: "ingot/v1", Kind: evidence.KindProof, Target: "t", Build: "b", Verdict: verdict}
	d, err := evidence.Seal(context.Background(), s, evidence.Subject{Name: name, Digest: map[string]string{"sha256": digestOf(text)}}, head, evidence.Proof{Head: head, Artifact: name})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// published serves a release of the files, with sums signed by the key, and
// returns its address.
func published(t *testing.T, s *secret.Signer, files map[string]string, docs ...evidence.Document) string {
	t.Helper()
	dir := t.TempDir()
	var sums []string
	for _, d := range docs {
		files["evidence/"+d.ID+".json"] = string(d.Envelope)
	}
	for name, text := range files {
		sums = append(sums, digestOf(text)+"  "+name+"\n")
	}
	slices.Sort(sums)
	list := strings.Join(sums, "")
	files["SHA256SUMS"], files["SHA256SUMS.minisig"] = list, string(s.MinisignSign([]byte(list), "release"))
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(srv.Close)
	return srv.URL + "/"
}

// verify returns what a verification found and its cause id, "" for none.
func verify(t *testing.T, b *Backend, opt VerifyOptions) (Verified, string) {
	t.Helper()
	got, err := b.Verify(context.Background(), opt)
	var bad *VerifyError
	if err != nil && !errors.As(err, &bad) {
		t.Fatalf("%s: %v", opt.Subject, err)
	}
	if bad != nil {
		return got, bad.Cause
	}
	return got, ""
}

// Of a release with several formats the one that was booted is verified, and
// the files of all are compared.
func TestVerifySeveralFormats(t *testing.T) {
	b := openHome(t)
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
			files := map[string]string{"d.qcow2": "qcow2 bytes", "d.raw": "raw bytes", "manifest.json": "{}"}
			got, cause := verify(t, b, VerifyOptions{Subject: published(t, b.signer, files, proofOf(t, b.signer, c.proven, files[c.proven]))})
			if cause != c.cause || got.Files != 4 || got.SHA256 != digestOf(c.disk) {
				t.Errorf("%+v, cause %q", got, cause)
			}
		})
	}
	// what was published without a passed proof holds the failed one
	failure := map[string]string{"d.qcow2": "qcow2 bytes"}
	if _, cause := verify(t, b, VerifyOptions{Subject: published(t, b.signer, failure, judgedProof(t, b.signer, "d.qcow2", "qcow2 bytes", evidence.Failed))}); cause != "publish.unproven" {
		t.Errorf("a failed proof: cause %q", cause)
	}
	files := map[string]string{"d.qcow2": "qcow2 bytes", "d.raw": "raw bytes"}
	address := published(t, b.signer, files, proofOf(t, b.signer, "d.qcow2", "qcow2 bytes"))
	for name, list := range map[string]string{"changed": strings.Replace(files["SHA256SUMS"], digestOf("raw bytes"), digestOf("evil"), 1), "whole": files["SHA256SUMS"]} {
		v := &verification{Backend: b, keys: b.Keys(), base: address, out: Verified{Docs: map[string]string{}}}
		if err := v.files(context.Background(), []byte(list)); (err != nil) != (name == "changed") {
			t.Errorf("the file that is not proven is %s: %v", name, err)
		}
	}
}

// What the home signed before its key was changed is believed without --key;
// with --key, only what that key signed. A stranger's key is none of ours.
func TestVerifyAfterRotation(t *testing.T) {
	b := openHome(t)
	old, files := b.signer, func() map[string]string { return map[string]string{"d.qcow2": "bytes"} }
	folder, err := b.ledger.Build("t", "b")
	if err != nil {
		t.Fatal(err)
	}
	d := proofOf(t, old, "d.qcow2", "bytes")
	if _, err := folder.Add(d); err != nil {
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
	b = reopen(t)
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
	after := published(t, b.signer, files(), d)
	withKey := files()
	withKey["evidence/"+old.KeyID()+".pub"] = old.MinisignPublic()
	vouched := published(t, b.signer, withKey, d)
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
		"the release of before, new key":  {before, keyOf(b.signer), "evidence.foreign-key", fresh},
		"a release of now, new key":       {after, keyOf(b.signer), "evidence.foreign-key", fresh},
		"one that holds the old key":      {vouched, keyOf(b.signer), "", fresh},
		"that one, a stranger's key":      {vouched, keyOf(stranger), "evidence.foreign-key", stranger.KeyID()},
		"one that holds a broken key":     {published(t, b.signer, broken, d), "", "evidence.unreadable", fresh},
		"a stranger's release":            {foreign, "", "evidence.foreign-key", fresh},
		"a stranger's release, by name":   {foreign, keyOf(stranger), "", stranger.KeyID()},
		"the file, with a stranger's key": {file, keyOf(stranger), "image.digest-changed", stranger.KeyID()},
	} {
		got, cause := verify(t, b, VerifyOptions{Subject: c.subject, KeyFile: c.key})
		if cause != c.cause || got.Key != c.id || cause == "" && len(got.Proofs) != 1 {
			t.Errorf("%s: cause %q, key %s, %d proofs; want %q, %s", name, cause, got.Key, len(got.Proofs), c.cause, c.id)
		}
	}
}
