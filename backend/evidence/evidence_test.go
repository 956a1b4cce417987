package evidence

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"ingot/backend/secret"
)

func signer(t *testing.T) *secret.Signer {
	t.Helper()
	s, err := secret.LoadOrCreateSigner(secret.Files{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sealed(t *testing.T, s Signer, v Verdict) Document {
	t.Helper()
	p := Proof{Head: Head{APIVersion: "ingot/v1", Kind: KindProof, Target: "debian-12-arm64", Build: "20261124-000000-aaaa", At: time.Unix(1, 0).UTC(), Verdict: v, Cause: "kernel.panic"}, Artifact: "x.qcow2"}
	d, err := Seal(context.Background(), s, Subject{Name: "x.qcow2", Digest: map[string]string{"sha256": strings.Repeat("ab", 32)}}, p.Head, p)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The statement must be one by in-toto's own library, not only by ours.
func TestStatementIsInToto(t *testing.T) {
	d := sealed(t, signer(t), Passed)
	var env struct{ PayloadType, Payload string }
	if err := json.Unmarshal(d.Envelope, &env); err != nil || env.PayloadType != "application/vnd.in-toto+json" {
		t.Fatalf("%+v, %v", env, err)
	}
	payload, err := base64.StdEncoding.DecodeString(env.Payload)
	if err != nil {
		t.Fatal(err)
	}
	var st v1.Statement
	if err := protojson.Unmarshal(payload, &st); err != nil {
		t.Fatal(err)
	}
	if err := st.Validate(); err != nil {
		t.Error(err)
	}
}

func TestOnlyAPassIsSigned(t *testing.T) {
	s := signer(t)
	if d := sealed(t, s, Passed); d.Trust != Signed || !bytes.Contains(d.Envelope, []byte(s.KeyID())) {
		t.Error("a pass is not signed")
	}
	if d := sealed(t, s, Failed); d.Trust != Unsigned || bytes.Contains(d.Envelope, []byte(s.KeyID())) {
		t.Error("a failure is signed")
	}
}

// Every way to spoil a document must be seen, with its own cause.
func TestTampering(t *testing.T) {
	s := signer(t)
	pass, fail := sealed(t, s, Passed), sealed(t, s, Failed)
	edit := func(env []byte, from, to string) []byte {
		var e map[string]any
		if err := json.Unmarshal(env, &e); err != nil {
			t.Fatal(err)
		}
		raw, _ := base64.StdEncoding.DecodeString(e["payload"].(string))
		if !bytes.Contains(raw, []byte(from)) {
			t.Fatalf("no %q in the payload", from)
		}
		e["payload"] = base64.StdEncoding.EncodeToString(bytes.Replace(raw, []byte(from), []byte(to), 1))
		out, _ := json.Marshal(e)
		return out
	}
	flip := bytes.Replace(pass.Envelope, []byte(`"sig": "`), []byte(`"sig": "AAAA`), 1)
	cases := map[string]struct {
		data  []byte
		id    string
		keys  Keys
		trust Trust
		cause string
	}{
		"intact pass":         {pass.Envelope, pass.ID, KeyOf(s), Signed, ""},
		"intact failure":      {fail.Envelope, fail.ID, KeyOf(s), Unsigned, ""},
		"other key":           {pass.Envelope, pass.ID, KeyOf(signer(t)), Foreign, CauseForeign},
		"failure to pass":     {edit(fail.Envelope, `"verdict":"failed"`, `"verdict":"passed"`), "", KeyOf(s), Tampered, CauseSignature},
		"failure, known id":   {edit(fail.Envelope, `"verdict":"failed"`, `"verdict":"passed"`), fail.ID, KeyOf(s), Tampered, CauseChanged},
		"text changed":        {edit(pass.Envelope, "x.qcow2", "y.qcow2"), pass.ID, KeyOf(s), Tampered, CauseChanged},
		"text, unknown id":    {edit(pass.Envelope, "x.qcow2", "y.qcow2"), "", KeyOf(s), Tampered, CauseSignature},
		"signature":           {flip, pass.ID, KeyOf(s), Tampered, CauseSignature},
		"cut short":           {pass.Envelope[:len(pass.Envelope)/2], pass.ID, KeyOf(s), Tampered, CauseUnreadable},
		"empty":               {nil, pass.ID, KeyOf(s), Tampered, CauseUnreadable},
		"no statement inside": {[]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[]}`), pass.ID, KeyOf(s), Tampered, CauseChanged},
	}
	for name, c := range cases {
		d := Open(context.Background(), c.data, c.keys, c.id)
		if d.Trust != c.trust || d.ProblemCause() != c.cause {
			t.Errorf("%s: trust %d, problem %q, want %d %q", name, d.Trust, d.Problem, c.trust, c.cause)
		}
	}
}

func TestLedger(t *testing.T) {
	s := signer(t)
	l := Ledger{Dir: t.TempDir()}
	b, err := l.Build("debian-12-arm64", "20261124-000000-aaaa")
	if err != nil {
		t.Fatal(err)
	}
	d := sealed(t, s, Passed)
	for range 2 { // adding again changes nothing
		if d, err = b.Include(t.Context(), author(s), d); err != nil {
			t.Fatal(err)
		}
	}
	docs, err := b.Evidence(context.Background(), KeyOf(s))
	if err != nil || len(docs) != 1 || docs[0].Trust != Signed || docs[0].ID != d.ID {
		t.Fatalf("%+v, %v", docs, err)
	}
	if got, err := l.Find(context.Background(), KeyOf(s), d.ID[:9]); err != nil || got.ID != d.ID {
		t.Errorf("by a short id: %v, %v", got.ID, err)
	}
	for _, bad := range []string{"proof-000000000000", "../../etc/passwd", "*", ""} {
		if _, err := l.Find(context.Background(), KeyOf(s), bad); err == nil {
			t.Errorf("Find(%q) found something", bad)
		}
	}
	if _, err := l.Build("../up", "x"); err == nil {
		t.Error("a target name with a path was taken")
	}
}

// A changed byte must change the digest although size and time stay.
func TestDigestsSeeEveryChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("aaaa"), 0o600); err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(t.TempDir(), "digests.json")
	d := OpenDigests(cache)
	first, err := d.Of(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Save(); err != nil {
		t.Fatal(err)
	}
	info, _ := os.Stat(file)
	time.Sleep(20 * time.Millisecond) // the file system's clock ticks every few ms
	if err := os.WriteFile(file, []byte("aaab"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if second, err := OpenDigests(cache).Of(file); err != nil || second == first {
		t.Errorf("the change was not seen: %v", err)
	}
	if _, err := d.Of(file + ".gone"); !os.IsNotExist(err) {
		t.Errorf("missing file: %v", err)
	}
}

// What is known of a folder's files stays known when it moves, and no more than
// that: a file that was put into the place of one is read.
func TestDigestsMove(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "making"), filepath.Join(dir, "made")
	if err := os.Mkdir(from, 0o700); err != nil {
		t.Fatal(err)
	}
	d := OpenDigests(filepath.Join(dir, "digests.json"))
	sums := map[string]string{}
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		if sums[name], err = d.Of(filepath.Join(from, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	d.Moved(from, to)
	if s, ok := d.known[filepath.Join(to, "a")]; !ok || s.SHA256 != sums["a"] || len(d.known) != 2 {
		t.Errorf("known: %v", d.known)
	}
	if err := os.Rename(filepath.Join(to, "a"), filepath.Join(to, "b")); err != nil {
		t.Fatal(err)
	}
	if sum, err := d.Of(filepath.Join(to, "b")); err != nil || sum != sums["a"] {
		t.Errorf("%s, %v: want that of a", sum, err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"keyid":"x","sig":"AA=="}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if d := Open(context.Background(), data, Keys{}, ""); d.Trust == Signed {
			t.Fatal("signed without an accepted key")
		}
	})
}
