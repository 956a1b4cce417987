package build_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend/build"
	"ingot/backend/build/delivery"
	"ingot/backend/build/record"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/publish"
	"ingot/backend/secret"
	"ingot/backend/team"
)

// parcel is what a worker has delivered of a build, with the bytes by their digest.
type parcel struct {
	delivery.Delivery
	bytes map[string][]byte
}

func (p *parcel) add(kind team.PieceKind, name string, data []byte) {
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	p.Pieces = append(p.Pieces, team.Piece{Kind: kind, Name: name, SHA256: sum, Size: int64(len(data))})
	p.bytes[sum] = data
}

func (p *parcel) get(_ context.Context, digest string, size int64, w io.Writer) error {
	data := p.bytes[digest]
	if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != digest || int64(len(data)) != size {
		return &publish.OtherBytesError{Name: "b/" + digest, Got: got, Want: digest}
	}
	_, err := w.Write(data)
	return err
}

// worked returns the delivery of a worker's build, with a proof that the worker signed
// without booting: a boot takes minutes, and the delivery is the same.
func worked(t *testing.T, l *build.Line, id string) *parcel {
	t.Helper()
	made, err := delivery.Work(t.Context(), l, build.Options{ID: id, Target: "played", Until: build.StepExport})
	if err != nil {
		t.Fatal(err)
	}
	p := &parcel{bytes: map[string][]byte{}}
	p.Worker, p.Build, p.Get = l.Signer.KeyID(), id, p.get
	for _, m := range made {
		data := m.Data
		if m.Path != "" {
			if data, err = os.ReadFile(m.Path); err != nil {
				t.Fatal(err)
			}
		}
		p.add(m.Kind, m.Name, data)
	}
	a := build.DocumentsOf(t, l, "played")[evidence.KindArtifact]
	for _, d := range made {
		if d.Kind == team.Artifact && strings.HasSuffix(d.Name, ".qcow2") {
			sum, err := l.Digests.Of(d.Path)
			if err != nil {
				t.Fatal(err)
			}
			p.proof(t, l.Signer, id, evidence.Subject{Name: d.Name, Digest: map[string]string{"sha256": sum}})
		}
	}
	if a.Trust != evidence.Signed {
		t.Fatalf("the worker's export: %+v", a.Head)
	}
	return p
}

const serialSaid = "login:"

// proof adds a signed pass with its serial log.
func (p *parcel) proof(t *testing.T, s evidence.Signer, id string, subject evidence.Subject) {
	t.Helper()
	p.proofOf(t, s, id, subject, "logs/serial-seeded.log")
}

// proofWith adds a signed pass about other bytes, whose serial log has the name.
func (p *parcel) proofWith(t *testing.T, s evidence.Signer, id, log string) {
	t.Helper()
	p.proofOf(t, s, id, build.About("x", build.Sha("1")), log)
}

func (p *parcel) proofOf(t *testing.T, s evidence.Signer, id string, subject evidence.Subject, name string) {
	t.Helper()
	head := evidence.Head{APIVersion: "ingot/v1", Kind: evidence.KindProof, Target: "played", Build: id, At: time.Now().UTC(), Verdict: evidence.Passed, InputKey: "k"}
	log := evidence.File{Name: name, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(serialSaid))), Size: int64(len(serialSaid))}
	d, err := evidence.Seal(t.Context(), s, subject, head, evidence.Proof{Head: head, Artifact: subject.Name, Boots: []evidence.Boot{{Name: "seeded", Serial: log}}})
	if err != nil {
		t.Fatal(err)
	}
	p.add(team.Document, d.ID, d.Envelope)
	p.add(team.Record, log.Name, []byte(serialSaid))
}

// submitter returns a home that trusts the worker, with the same targets.
func submitter(t *testing.T, worker *build.Line) *build.Line {
	t.Helper()
	l := build.PlayedLine(t)
	l.Workers = evidence.KeyOf(worker.Signer)
	l.Keys = evidence.KeyOf(l.Signer)
	for id, key := range l.Workers {
		l.Keys[id] = key
	}
	return l
}

// A worker's build is imported with its evidence, logs and files, and published as
// proven; a second import fetches no file.
func TestReceive(t *testing.T) {
	id := record.NewID(time.Now())
	worker := build.PlayedLine(t)
	p := worked(t, worker, id)
	l := submitter(t, worker)
	releases := build.Published(l)
	if err := delivery.Receive(t.Context(), l, build.Options{ID: id, Target: "played"}, p.Delivery); err != nil {
		t.Fatal(err)
	}
	docs := build.DocumentsOf(t, l, "played")
	for _, k := range evidence.Kinds {
		want := worker.Signer.KeyID()
		if k == evidence.KindConfig || k == evidence.KindReceipt { // recorded by the submitter
			want = l.Signer.KeyID()
		}
		if d := docs[k]; d.Trust != evidence.Signed || d.KeyID != want {
			t.Errorf("%s: trust %d, key %s", k, d.Trust, d.KeyID)
		}
	}
	var a evidence.Artifact
	if err := docs[evidence.KindArtifact].Decode(&a); err != nil {
		t.Fatal(err)
	}
	if sum, err := l.Digests.Of(filepath.Join(l.Home.Data, a.File)); err != nil || sum != docs[evidence.KindArtifact].Subject().SHA256() {
		t.Errorf("%s has SHA-256 %s, %v", a.File, sum, err)
	}
	folder, err := l.Ledger.Build("played", id)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(folder.Dir, "logs", "serial-seeded.log")); err != nil || string(b) != serialSaid {
		t.Errorf("serial log %q, %v", b, err)
	}
	if _, err := os.Stat(folder.LogPath(build.WorkerLog(build.StepKernel, worker.Signer.KeyID()))); err != nil {
		t.Error(err)
	}
	if len(*releases) != 1 || !(*releases)[0].Proven || (*releases)[0].Proof != docs[evidence.KindProof].ID {
		t.Fatalf("published: %+v", *releases)
	}
	names := map[string]bool{}
	for _, f := range (*releases)[0].Files {
		names[f.Name] = true
	}
	for _, want := range []string{a.Name, "evidence/" + docs[evidence.KindProof].ID + ".json", "evidence/serial-seeded.log", "evidence/" + worker.Signer.KeyID() + ".pub"} {
		if !names[want] {
			t.Errorf("the release lacks %s: %v", want, names)
		}
	}
	for _, piece := range p.Pieces {
		if piece.Kind == team.Artifact {
			delete(p.bytes, piece.SHA256)
		}
	}
	if err := delivery.Receive(t.Context(), l, build.Options{ID: id, Target: "played"}, p.Delivery); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if len(*releases) != 1 {
		t.Error("published twice")
	}
}

// Only signed evidence of these inputs is accepted, and bytes with the digests in it:
// nothing else is published.
func TestReceiveRefuses(t *testing.T) {
	id := record.NewID(time.Now())
	worker := build.PlayedLine(t)
	whole := worked(t, worker, id)
	const earlier = "20200101-000000-0000" // a build of the submitter's
	stranger, err := secret.LoadOrCreateSigner(secret.Files{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	drop := func(prefix string) func(*parcel) {
		return func(p *parcel) {
			var kept []team.Piece
			for _, piece := range p.Pieces {
				if !strings.HasPrefix(piece.Name, prefix) {
					kept = append(kept, piece)
				}
			}
			p.Pieces = kept
		}
	}
	sealed := func(s evidence.Signer, head evidence.Head) func(*parcel) {
		return func(p *parcel) {
			head.APIVersion, head.At = "ingot/v1", time.Now().UTC()
			d, err := evidence.Seal(t.Context(), s, build.About("x", build.Sha("1")), head, head)
			if err != nil {
				t.Fatal(err)
			}
			p.add(team.Document, d.ID, d.Envelope)
		}
	}
	passed := evidence.Head{Kind: evidence.KindImage, Target: "played", Build: id, Verdict: evidence.Passed}
	failed, other, receipt, strange := passed, passed, passed, passed
	failed.Verdict, failed.Build = evidence.Failed, "20200101-000000-0000"
	other.Target = "twin"
	receipt.Kind = evidence.KindReceipt
	strange.Build = "../up"
	for name, c := range map[string]struct {
		spoil func(*parcel)
		cause string
		want  string // part of the message
	}{
		"a stranger's document":   {sealed(stranger, passed), "team.worker-unknown", "not accepted here"},
		"another target's":        {sealed(worker.Signer, other), "team.result-invalid", `of target "twin"`},
		"a receipt":               {sealed(worker.Signer, receipt), "team.result-invalid", "which it was not asked to build"},
		"a build with a bad name": {sealed(worker.Signer, strange), "team.result-invalid", "which it was not asked to build"},
		"another build's failure": {sealed(worker.Signer, failed), "evidence.signature-invalid", "is not signed"},
		"a changed document":      {func(p *parcel) { p.add(team.Document, "image-000000000000", []byte("{}")) }, "evidence.unreadable", "of worker " + worker.Signer.KeyID()},
		"a document of many bytes": {func(p *parcel) {
			p.Pieces = append(p.Pieces, team.Piece{Kind: team.Document, Name: "image-1", Size: 5 << 20})
		}, "evidence.unreadable", "has 5242880 bytes"},
		"a document that is gone": {func(p *parcel) {
			p.Pieces = append(p.Pieces, team.Piece{Kind: team.Document, Name: "image-1", SHA256: build.Sha("7"), Size: 1})
		}, "team.digest-differs", "should have SHA-256 " + build.Sha("7")},
		"no kernel":                {drop("kernel-"), "team.result-invalid", "no signed evidence of a kernel of these inputs"},
		"no image":                 {drop("image-"), "team.result-invalid", "no signed evidence of an image of these inputs"},
		"no artifact":              {drop("artifact-"), "team.result-invalid", "no signed evidence of a qcow2 of these inputs"},
		"no proof":                 {drop("proof-"), "team.result-invalid", "no signed evidence of the Proof of these inputs"},
		"the worker's own failure": {func(p *parcel) { p.Failed = errors.New("it rained") }, "", "it rained"},
		"an artifact of other bytes": {func(p *parcel) {
			for _, piece := range p.Pieces {
				if piece.Kind == team.Artifact {
					p.bytes[piece.SHA256] = bytes.Repeat([]byte("x"), int(piece.Size))
				}
			}
		}, "team.digest-differs", "artifact "},
		"a worker with a path for a name": {func(p *parcel) { p.Worker = "../../x" }, "team.result-invalid", "not a worker's id"},
		"a proof that names the journal":  {func(p *parcel) { p.proofWith(t, worker.Signer, id, "journal.ndjson") }, "team.result-invalid", `names a file "journal.ndjson"`},
		"a proof that names evidence":     {func(p *parcel) { p.proofWith(t, worker.Signer, id, "evidence/proof-000000000000.json") }, "team.result-invalid", "names a file"},
		"a proof that names a path up":    {func(p *parcel) { p.proofWith(t, worker.Signer, id, "logs/../../x/serial-seeded.log") }, "team.result-invalid", "names a file"},
		"an earlier build's log":          {func(p *parcel) { p.proofWith(t, worker.Signer, earlier, "logs/serial-seeded.log") }, "team.result-invalid", "for the existing file"},
		"a log of other bytes": {func(p *parcel) {
			for _, piece := range p.Pieces {
				if piece.Kind == team.Record {
					p.bytes[piece.SHA256] = nil
				}
			}
		}, "team.digest-differs", "logs/"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &parcel{Delivery: whole.Delivery, bytes: map[string][]byte{}}
			p.Get = p.get
			p.Pieces = append([]team.Piece{}, whole.Pieces...)
			for k, v := range whole.bytes {
				p.bytes[k] = v
			}
			c.spoil(p)
			l := submitter(t, worker)
			releases := build.Published(l)
			before, err := l.Ledger.Build("played", earlier)
			if err != nil {
				t.Fatal(err)
			}
			ours := filepath.Join(before.Dir, "logs", "serial-seeded.log")
			if err := errors.Join(os.MkdirAll(filepath.Dir(ours), 0o700), os.WriteFile(ours, []byte("ours"), 0o600)); err != nil {
				t.Fatal(err)
			}
			err = delivery.Receive(t.Context(), l, build.Options{ID: id, Target: "played"}, p.Delivery)
			if err == nil || cause.IDOf(err) != c.cause || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, cause %q; want %q with %q", err, cause.IDOf(err), c.cause, c.want)
			}
			if len(*releases) > 0 {
				t.Error("it was published")
			}
			if text, err := os.ReadFile(ours); err != nil || string(text) != "ours" {
				t.Errorf("the log of an earlier build is %q, %v", text, err)
			}
			folder, err := l.Ledger.Build("played", id)
			if err != nil {
				t.Fatal(err)
			}
			if events, err := folder.Journal(); err != nil || len(events) == 0 || events[len(events)-1].Outcome != event.Failed {
				t.Errorf("the journal ends with %+v, %v", events, err)
			}
		})
	}
}
