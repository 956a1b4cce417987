package reality

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"ingot/backend/event"
	"ingot/backend/evidence"
)

const (
	sha1st = "1111111111111111111111111111111111111111111111111111111111111111"
	sha2nd = "2222222222222222222222222222222222222222222222222222222222222222"
	shaRaw = "3333333333333333333333333333333333333333333333333333333333333333"
)

// doc makes a document as the ledger would give it.
func doc(kind evidence.Kind, trust evidence.Trust, verdict evidence.Verdict, key, subject string, predicate any) evidence.Document {
	raw, _ := json.Marshal(predicate)
	return evidence.Document{ID: strings.ToLower(string(kind)) + "-1", Trust: trust,
		Head:      evidence.Head{Kind: kind, Verdict: verdict, InputKey: key, Build: "b1", At: time.Unix(1, 0)},
		Statement: evidence.Statement{Subject: []evidence.Subject{{Digest: map[string]string{"sha256": subject}}}, Predicate: raw}}
}

// good is a target with everything proved.
func good() Facts {
	s, p := evidence.Signed, evidence.Passed
	return Facts{
		Evidence: []evidence.Document{
			doc(evidence.KindConfig, s, p, "c", "r", evidence.Config{Recipe: "r", Lock: "l"}),
			doc(evidence.KindGuest, s, p, "g", "g", evidence.Guest{}),
			doc(evidence.KindKernel, s, p, "kernel-key", "k", evidence.Kernel{}),
			doc(evidence.KindImage, s, p, "image-key", shaRaw, evidence.Image{}),
			doc(evidence.KindArtifact, s, p, "x", sha1st, evidence.Artifact{Name: "a.qcow2", File: "outputs/a.qcow2", ImageDigest: shaRaw}),
			doc(evidence.KindProof, s, p, "p", sha1st, evidence.Proof{Boots: []evidence.Boot{{QEMU: "q7", Firmware: "f1"}}}),
			doc(evidence.KindReceipt, s, p, "u", sha1st, evidence.Receipt{Local: true, Proven: true}),
		},
		Current: Inputs{Recipe: "r", Lock: "l", KernelKey: "kernel-key", ImageKey: "image-key"},
		Host:    Host{QEMU: "q7", Firmware: "f1"},
		Files:   map[string]File{"outputs/a.qcow2": {SHA256: sha1st}},
	}
}

func states(r Row) string {
	var out []string
	for _, c := range r.Cells() {
		s := c.Cell.State.String()
		if c.Cell.Cause != "" {
			s += "/" + c.Cell.Cause
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestZeroIsUnknown(t *testing.T) {
	if got := states(Derive("t", Facts{})); got != "unknown unknown unknown unknown unknown unknown" {
		t.Error(got)
	}
	var zero Cell
	if zero.State != Unknown || zero.State.String() != "unknown" {
		t.Error("the zero state is not Unknown")
	}
}

// The list of machines has the proofs of the artifact's own digest: QEMU's is the cell,
// Lima's are those of files. Apple's framework is Unknown until one is there.
func TestBootedIn(t *testing.T) {
	if r := Derive("t", Facts{}); r.BootedIn != nil || r.Machines() != "" {
		t.Errorf("without an artifact: %v", r.BootedIn)
	}
	if r := Derive("t", good()); r.Machines() != "QEMU ✓ · Apple VZ ?" || r.BootedIn[0].Evidence != r.Boots.Evidence {
		t.Errorf("%s", r.Machines())
	}
	f := good()
	_, art := f.artifact()
	lima := func(vmType, sum string, verdict evidence.Verdict, trust evidence.Trust) evidence.Document {
		return doc(evidence.KindProof, trust, verdict, "k", sum, evidence.Proof{Boots: []evidence.Boot{{Name: "lima", VMType: vmType}}})
	}
	ours := art.Subject().SHA256()
	for name, c := range map[string]struct {
		proofs []evidence.Document
		want   string
	}{
		"passed":          {[]evidence.Document{lima("vz", ours, evidence.Passed, evidence.Signed)}, "QEMU ✓ · Apple VZ ✓"},
		"then failed":     {[]evidence.Document{lima("vz", ours, evidence.Passed, evidence.Signed), lima("vz", ours, evidence.Failed, evidence.Signed)}, "QEMU ✓ · Apple VZ ✗"},
		"of another file": {[]evidence.Document{lima("vz", strings.Repeat("9", 64), evidence.Passed, evidence.Signed)}, "QEMU ✓ · Apple VZ ?"},
		"not signed":      {[]evidence.Document{lima("vz", ours, evidence.Passed, evidence.Unsigned)}, "QEMU ✓ · Apple VZ ?"},
		"of a stranger":   {[]evidence.Document{lima("vz", ours, evidence.Passed, evidence.Foreign)}, "QEMU ✓ · Apple VZ ?"},
		"by Lima's QEMU":  {[]evidence.Document{lima("qemu", ours, evidence.Passed, evidence.Signed)}, "QEMU ✓ · Apple VZ ? · Lima's QEMU ✓"},
		"of before":       {[]evidence.Document{lima("", ours, evidence.Passed, evidence.Signed)}, "QEMU ✓ · Apple VZ ?"},
	} {
		f.FileProofs = c.proofs
		if got := Derive("t", f).Machines(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestDerive(t *testing.T) {
	all := "passed passed passed passed passed passed"
	set := func(kind evidence.Kind, change func(*evidence.Document)) func(*Facts) {
		return func(f *Facts) {
			for i := range f.Evidence {
				if f.Evidence[i].Head.Kind == kind {
					change(&f.Evidence[i])
				}
			}
		}
	}
	drop := func(kind evidence.Kind) func(*Facts) {
		return func(f *Facts) {
			var kept []evidence.Document
			for _, d := range f.Evidence {
				if d.Head.Kind != kind {
					kept = append(kept, d)
				}
			}
			f.Evidence = kept
		}
	}
	add := func(d evidence.Document) func(*Facts) { return func(f *Facts) { f.Evidence = append(f.Evidence, d) } }
	failed := func(kind evidence.Kind, cause string) evidence.Document {
		d := doc(kind, evidence.Unsigned, evidence.Failed, "z", "z", struct{}{})
		d.Head.Cause = cause
		return d
	}
	cases := []struct {
		name   string
		change func(*Facts)
		want   string
	}{
		{"all proved", func(*Facts) {}, all},
		{"a pass without a signature is nothing", set(evidence.KindKernel, func(d *evidence.Document) { d.Trust = evidence.Unsigned }), "passed passed unknown passed passed passed"},
		{"tampered", set(evidence.KindProof, func(d *evidence.Document) { d.Trust, d.Problem = evidence.Tampered, "evidence.changed: x" }), "passed passed passed passed failed/evidence.changed passed"},
		{"missing", set(evidence.KindProof, func(d *evidence.Document) { d.Trust, d.Problem = evidence.Tampered, "evidence.missing: x" }), "passed passed passed passed unknown/evidence.missing passed"},
		{"head lost", set(evidence.KindKernel, func(d *evidence.Document) { d.Trust, d.Problem = evidence.Tampered, "evidence.head-lost: x" }), "passed passed unknown/evidence.head-lost passed passed passed"},
		{"not listed", set(evidence.KindReceipt, func(d *evidence.Document) { d.Trust, d.Problem = evidence.Tampered, "evidence.unlisted: x" }), "passed passed passed passed passed unknown/evidence.unlisted"},
		{"foreign", set(evidence.KindGuest, func(d *evidence.Document) { d.Trust, d.Problem = evidence.Foreign, "evidence.foreign-key: x" }), "passed failed/evidence.foreign-key passed passed passed passed"},
		{"no proof", drop(evidence.KindProof), "passed passed passed passed unknown passed"},
		{"no artifact document", drop(evidence.KindArtifact), "passed passed passed unknown stale/image.missing stale/image.digest-changed"},
		{"recipe changed", func(f *Facts) { f.Current.Recipe = "r2" }, "stale/config.changed passed passed passed passed passed"},
		{"lock changed", func(f *Facts) { f.Current.Lock = "l2"; f.Current.KernelKey = "k2"; f.Current.ImageKey = "i2" }, "stale/config.lock-changed passed stale/config.changed stale/config.changed passed passed"},
		{"recipe broken", func(f *Facts) { f.Current = Inputs{ErrCause: "config.invalid"} }, "failed/config.invalid passed stale/config.changed stale/config.changed passed passed"},
		{"artifact changed", func(f *Facts) { f.Files["outputs/a.qcow2"] = File{SHA256: sha2nd} }, "passed passed passed stale/image.digest-changed stale/image.digest-changed passed"},
		{"artifact gone", func(f *Facts) { f.Files["outputs/a.qcow2"] = File{Missing: true} }, "passed passed passed stale/image.missing stale/image.missing passed"},
		{"QEMU changed", func(f *Facts) { f.Host.QEMU = "q8" }, "passed passed passed passed stale/host.qemu-changed passed"},
		{"firmware changed", func(f *Facts) { f.Host.Firmware = "f2" }, "passed passed passed passed stale/host.firmware-changed passed"},
		{"no QEMU here", func(f *Facts) { f.Host = Host{} }, all},
		{"kernel failed later", add(failed(evidence.KindKernel, "kernel.build-failed")), "passed passed failed/kernel.build-failed passed passed passed"},
		{"export failed later", add(failed(evidence.KindArtifact, "guest.no-space")), "passed passed passed failed/guest.no-space passed passed"},
		{"export cancelled later", add(func() evidence.Document {
			d := failed(evidence.KindArtifact, "evidence.cancelled")
			d.Head.Verdict = evidence.Cancelled
			return d
		}()), "passed passed passed cancelled/evidence.cancelled passed passed"},
		{"export failed, and the older artifact is gone", func(f *Facts) {
			f.Evidence = append(f.Evidence, failed(evidence.KindArtifact, "guest.no-space"))
			f.Files["outputs/a.qcow2"] = File{Missing: true}
		}, "passed passed passed failed/guest.no-space stale/image.missing passed"},
		{"export failed, then an image was made", func(f *Facts) {
			f.Evidence = append(f.Evidence, failed(evidence.KindArtifact, "guest.no-space"), doc(evidence.KindImage, evidence.Signed, evidence.Passed, "image-key", shaRaw, evidence.Image{}))
		}, "passed passed passed failed/guest.no-space passed passed"},
		{"an artifact's document was changed later", add(func() evidence.Document {
			d := failed(evidence.KindArtifact, "")
			d.Trust, d.Problem = evidence.Tampered, "evidence.changed: x"
			return d
		}()), "passed passed passed failed/evidence.changed passed passed"},
		{"export failed, and there was none before", func(f *Facts) {
			drop(evidence.KindArtifact)(f)
			f.Evidence = append(f.Evidence, failed(evidence.KindArtifact, "guest.no-space"))
		}, "passed passed passed failed/guest.no-space stale/image.missing stale/image.digest-changed"},
		{"image failed later", add(failed(evidence.KindImage, "guest.no-space")), "passed passed passed failed/guest.no-space passed passed"},
		{"proof of the same bytes failed later", add(func() evidence.Document {
			d := failed(evidence.KindProof, "kernel.panic")
			d.Statement.Subject[0].Digest["sha256"] = sha1st
			return d
		}()), "passed passed passed passed failed/kernel.panic passed"},
		{"proof of the same bytes cancelled later", add(func() evidence.Document {
			d := failed(evidence.KindProof, "evidence.cancelled")
			d.Head.Verdict, d.Statement.Subject[0].Digest["sha256"] = evidence.Cancelled, sha1st
			return d
		}()), "passed passed passed passed cancelled/evidence.cancelled passed"},
		{"proof of other bytes failed later", add(failed(evidence.KindProof, "kernel.panic")), all},
		{"proof of other bytes passed later", add(doc(evidence.KindProof, evidence.Signed, evidence.Passed, "p2", sha2nd, evidence.Proof{})), all},
		{"only a proof of other bytes, failed", func(f *Facts) {
			drop(evidence.KindProof)(f)
			f.Evidence = append(f.Evidence, failed(evidence.KindProof, "kernel.panic"))
		}, "passed passed passed passed unknown passed"},
		{"tampered later, of other bytes", add(func() evidence.Document {
			d := failed(evidence.KindProof, "")
			d.Trust, d.Problem = evidence.Tampered, "evidence.changed: x"
			return d
		}()), "passed passed passed passed failed/evidence.changed passed"},
		{"newer artifact was not booted", func(f *Facts) {
			f.Evidence = append(f.Evidence, doc(evidence.KindArtifact, evidence.Signed, evidence.Passed, "x2", sha2nd, evidence.Artifact{File: "outputs/b", ImageDigest: shaRaw}))
			f.Evidence[len(f.Evidence)-1].Head.Build = "b2"
			f.Files["outputs/b"] = File{SHA256: sha2nd}
		}, "passed passed passed passed stale/image.digest-changed stale/image.digest-changed"},
		{"cancelled", add(func() evidence.Document {
			d := failed(evidence.KindKernel, "evidence.cancelled")
			d.Head.Verdict = evidence.Cancelled
			return d
		}()), "passed passed cancelled/evidence.cancelled passed passed passed"},
	}
	for _, c := range cases {
		f := good()
		c.change(&f)
		if got := states(Derive("t", f)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	if r := Derive("t", good()); r.Published.Note != "local only" {
		t.Errorf("note %q, want local only", r.Published.Note)
	}
}

// A date in the future is shown, and changes no state.
func TestFuture(t *testing.T) {
	f := good()
	f.Now = time.Unix(1, 0).Add(-time.Hour)
	r := Derive("t", f)
	if states(r) != "passed passed passed passed passed passed" || r.Boots.Note != "dated in the future: 1970-01-01 00:00 UTC" || !strings.HasPrefix(r.Published.Note, "local only, dated in the future") {
		t.Errorf("%s, %q, %q", states(r), r.Boots.Note, r.Published.Note)
	}
	f.Now = time.Unix(1, 0).Add(-time.Minute) // clocks differ a little
	if r := Derive("t", f); r.Boots.Note != "" {
		t.Errorf("%q", r.Boots.Note)
	}
}

func TestRunning(t *testing.T) {
	events := []event.Event{{Kind: event.BuildStarted}, {Kind: event.StepStarted, Step: "kernel"}, {Kind: event.StepStarted, Step: "rootfs"}, {Kind: event.StepFinished, Step: "rootfs"}}
	f := good()
	f.Journals = []Journal{{Live: true, Events: events}}
	if got := states(Derive("t", f)); got != "passed passed running passed passed passed" {
		t.Errorf("live build: %s", got)
	}
	f.Journals[0].Live = false
	if got := states(Derive("t", f)); strings.Contains(got, "running") {
		t.Errorf("dead build: %s", got)
	}
	f.Journals[0].Live, f.Journals[0].Events = true, append(events, event.Event{Kind: event.BuildFinished})
	if got := states(Derive("t", f)); strings.Contains(got, "running") {
		t.Errorf("finished build: %s", got)
	}
}

// The kernel of a disk that was taken from a VM is never a tick: Ingot did not build it.
// Once it builds one, the cell is that kernel's.
func TestKernelOfVM(t *testing.T) {
	f := good()
	for i := range f.Evidence {
		if d := &f.Evidence[i]; d.Head.Kind == evidence.KindArtifact {
			var a evidence.Artifact
			if err := d.Decode(&a); err != nil {
				t.Fatal(err)
			}
			a.VM, a.KernelRelease = &evidence.Taken{Name: "web"}, "6.1.0-18-amd64"
			*d = doc(evidence.KindArtifact, evidence.Signed, evidence.Passed, d.Head.InputKey, d.Subject().SHA256(), a)
		}
	}
	if r := Derive("t", f); r.Kernel.State != Passed || r.Kernel.Note != "" {
		t.Errorf("with a kernel of ours: %+v", r.Kernel)
	}
	f.Evidence = slices.DeleteFunc(f.Evidence, func(d evidence.Document) bool { return d.Head.Kind == evidence.KindKernel })
	r := Derive("t", f)
	if r.Kernel.State != Unknown || r.Kernel.Note != "the VM's own, 6.1.0-18-amd64" || r.Kernel.Evidence != "" {
		t.Errorf("with the VM's own kernel: %+v", r.Kernel)
	}
	if r.Boots.State != Passed {
		t.Errorf("boots: %+v", r.Boots)
	}
}

// A target that was published to several destinations has a receipt for each, and the cell
// names them. What was published of another artifact, or with a receipt that cannot be
// trusted, is not among them.
func TestPublishedTo(t *testing.T) {
	f := good()
	at := func(trust evidence.Trust, sha, endpoint string, r evidence.Receipt) {
		r.Proven = true
		d := doc(evidence.KindReceipt, trust, evidence.Passed, "u", sha, r)
		d.Head.Inputs = map[string]string{"endpoint": endpoint}
		d.ID = "receipt-" + endpoint
		f.Evidence = append(f.Evidence, d)
	}
	f.Evidence = f.Evidence[:len(f.Evidence)-1]
	at(evidence.Signed, sha1st, "http://127.0.0.1:9000/ingot", evidence.Receipt{Local: true})
	if r := Derive("t", f); r.Published.Note != "local only" || len(r.PublishedTo) != 1 {
		t.Errorf("%+v, %+v", r.Published, r.PublishedTo)
	}
	at(evidence.Signed, sha2nd, "https://s3.example/other", evidence.Receipt{})
	at(evidence.Tampered, sha1st, "https://s3.example/forged", evidence.Receipt{})
	at(evidence.Signed, sha1st, "file:///srv/images/", evidence.Receipt{Local: true})
	at(evidence.Signed, sha1st, "http://127.0.0.1:9000/ingot", evidence.Receipt{Local: true})
	at(evidence.Signed, sha1st, "https://github.com/o/r", evidence.Receipt{URL: "https://github.com/o/r/releases/tag/x"})
	r := Derive("t", f)
	if r.Published.State != Passed || r.Published.Note != "at github.com/o/r and local store and dir:/srv/images" {
		t.Errorf("%+v", r.Published)
	}
	if len(r.PublishedTo) != 3 || r.PublishedTo[0].URL == "" || r.PublishedTo[0].Evidence != "receipt-https://github.com/o/r" {
		t.Errorf("%+v", r.PublishedTo)
	}
	if same := Derive("t", f); !r.Equal(same) {
		t.Error("the same facts give another row")
	}
	same := r
	same.PublishedTo = same.PublishedTo[:1]
	if r.Equal(same) {
		t.Error("a row without a destination is the same")
	}
}
