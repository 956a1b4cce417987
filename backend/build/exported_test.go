package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend/build/outputs"
	"ingot/backend/build/record"
	"ingot/backend/build/release"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/guest"
	"ingot/backend/leak"
	"ingot/backend/qemu"
)

// Builds of one minute have different versions, which sort like the builds; exports
// with the minute as their version are still recognised.
func TestVersionOf(t *testing.T) {
	for id, want := range map[string]string{"20261128-223015-ab12": "20261128-2230", "20261128-2230": "20261128-2230", "short": "short", "": ""} {
		if got := release.MinuteOf(id); got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
	early, late := record.NewID(time.Date(2026, 11, 28, 22, 30, 15, 0, time.UTC)), record.NewID(time.Date(2026, 11, 28, 22, 31, 0, 0, time.UTC))
	if !record.IsID(early) || release.VersionOf(early) >= release.VersionOf(late) || release.VersionOf(early) <= release.MinuteOf(early) || early >= late {
		t.Errorf("%s, %s", early, late)
	}
}

// Options that exclude each other are refused, with the accepted ones.
func TestOptionsOfACheck(t *testing.T) {
	for want, o := range map[string]Options{
		"a check always ends with the export: omit --until":             {Check: true, Until: StepImage},
		"the prove step cannot be checked":                              {Check: true, Force: []string{StepProve}},
		`there is no step "lunch"; the steps are kernel, rootfs, image`: {Check: true, Force: []string{"lunch"}},
	} {
		err := o.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), want) || cause.ClassOf(err) != cause.Input {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
	if err := (Options{Check: true, Force: []string{StepKernel, StepExport}}).Validate(); err != nil {
		t.Error(err)
	}
	l := line(t, &guest.Local{})
	if _, err := l.Run(t.Context(), Options{Target: "debian-12-arm64", Until: "lunch"}); !errors.As(err, new(*OptionError)) {
		t.Errorf("run: %v", err)
	}
	if _, err := l.Run(t.Context(), Options{Target: "nothing"}); err == nil || !strings.Contains(err.Error(), `there is no target "nothing"`) {
		t.Errorf("run: %v", err)
	}
}

// A build is retried only after a failure with a temporary cause.
func TestCanPass(t *testing.T) {
	for id, want := range map[string]bool{"fetch.unreachable": true, "publish.unreachable": true, "guest.unreachable": true, "guest.lost": true, "fetch.digest": false, "kernel.build-failed": false, "image.leak": false, "boot.hang": false} {
		if got := CanPass(fmt.Errorf("step: %w", cause.With(id, errors.New("x")))); got != want {
			t.Errorf("%s: %v", id, got)
		}
	}
	if CanPass(errors.New("of no cause")) {
		t.Error("a failure of no cause passes")
	}
}

// A build that did not start has an end in its journal, with cause, fix and class.
func TestEnd(t *testing.T) {
	l := line(t, &guest.Local{})
	l.Classify = func(error) string { return "host" }
	id := record.NewID(time.Now())
	if err := l.Records().End("debian-12-arm64", id, cause.With("guest.no-space", errors.New("full"))); err != nil {
		t.Fatal(err)
	}
	if err := l.Records().End("debian-12-arm64", "../"+id, nil); err == nil {
		t.Error("a name with a path was taken")
	}
	b, err := l.Ledger.Build("debian-12-arm64", id)
	if err != nil {
		t.Fatal(err)
	}
	events, err := b.Journal()
	if err != nil || len(events) != 1 {
		t.Fatalf("%+v, %v", events, err)
	}
	if e := events[0]; e.Kind != event.BuildFinished || e.Outcome != event.Failed || e.Cause != "guest.no-space" || e.Fix == "" || e.Class != "host" {
		t.Errorf("%+v", e)
	}
}

// A failed build that will be continued has no end in its journal.
func TestGoesOnLater(t *testing.T) {
	l := line(t, &bare{})
	id, err := l.Run(t.Context(), Options{Target: "debian-12-arm64", Again: func(error) bool { return true }})
	if err == nil {
		t.Fatal("it passed")
	}
	b, berr := l.Ledger.Build("debian-12-arm64", id)
	if berr != nil {
		t.Fatal(berr)
	}
	events, jerr := b.Journal()
	if jerr != nil || len(events) == 0 {
		t.Fatal(jerr)
	}
	if last := events[len(events)-1]; event.Ended(events) || last.Kind != event.Note || !strings.Contains(last.Msg, "will be continued later: ") {
		t.Errorf("%+v", last)
	}
}

// A file that was exported from a VM has signed evidence of its digests and of the
// scan.
func TestKeepTaken(t *testing.T) {
	l := line(t, &guest.Local{})
	file := filepath.Join(t.TempDir(), "vm.raw")
	text := strings.Repeat("a disk  ", 64)
	write(t, file, text)
	leaks, err := leak.ScanFile(t.Context(), file, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, a, err := l.Records().KeepTaken(t.Context(), file, evidence.Artifact{Format: "raw", VM: &evidence.Taken{Name: "there", Method: "direct"}, Leaks: leaks})
	if err != nil {
		t.Fatal(err)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	if d.Trust != evidence.Signed || d.Subject().SHA256() != sum || a.Leaks.Digest != sum || a.Name != "vm.raw" || a.Size != 512 || len(a.SHA512) != 128 || d.Subject().Digest["sha512"] != a.SHA512 {
		t.Errorf("%+v, %+v", d.Head, a)
	}
	got := evidence.Open(t.Context(), d.Envelope, l.Keys, d.ID)
	var kept evidence.Artifact
	if err := got.Decode(&kept); err != nil || got.Trust != evidence.Signed || kept.VM == nil || kept.VM.Name != "there" {
		t.Errorf("%+v, %v", kept, err)
	}
	if _, _, err := l.Records().KeepTaken(t.Context(), file+".gone", evidence.Artifact{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is gone: %v", err)
	}
	if _, err := leak.ScanFile(t.Context(), file+".gone", nil); cause.Of(err) != "image.missing" {
		t.Errorf("scan of a file that is gone: %v", err)
	}
}

// The error for a leak names the first findings, and the number of further ones.
func TestLeakError(t *testing.T) {
	e := &release.LeakError{File: "d.qcow2"}
	for i := range 7 {
		e.Leaks.Findings = append(e.Leaks.Findings, evidence.Leak{Severity: evidence.LeakBlocks, Title: "a key", In: "file", Path: fmt.Sprintf("/root/%d", i)})
	}
	e.Leaks.Findings = append(e.Leaks.Findings, evidence.Leak{Severity: evidence.LeakNote, Title: "a log", In: "file", Path: "/var/log/x"})
	got := e.Error()
	if !strings.HasPrefix(got, "d.qcow2 must not be published: a key: /root/0; a key: /root/1; ") || !strings.HasSuffix(got, "; and 2 more") || strings.Contains(got, "/var/log/x") || cause.IDOf(e) != "image.leak" {
		t.Errorf("%s (%s)", got, cause.IDOf(e))
	}
}

// Of two builds that make the same output the second waits, or returns when its own
// context is done; without a Making it does not wait.
func TestMaking(t *testing.T) {
	var m outputs.Making
	leave, err := m.Enter(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := m.Enter(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	other()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Enter(gone, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("entered twice: %v", err)
	}
	entered := make(chan error)
	go func() {
		leave, err := m.Enter(t.Context(), "a")
		if err == nil {
			leave()
		}
		entered <- err
	}()
	leave()
	if err := <-entered; err != nil {
		t.Error(err)
	}
	if leave, err := (*outputs.Making)(nil).Enter(gone, "a"); err != nil {
		t.Error(err)
	} else {
		leave()
	}
}

// An artifact that QEMU does not boot has evidence of that, and is published only on
// request, marked as unproven.
func TestDiskThatDoesNotBoot(t *testing.T) {
	if _, err := qemu.FindHost(t.Context(), "arm64"); err != nil {
		t.Skipf("QEMU for arm64 or its firmware is missing: apt-get install qemu-system-arm qemu-efi-aarch64: %v", err)
	}
	g := &played{Local: guest.Local{WorkRoot: t.TempDir()}}
	l := playedLine(t, g)
	releases := published(l)
	id, err := l.Run(t.Context(), Options{Target: "played"})
	var not *NotProvenError
	if !errors.As(err, &not) || cause.ClassOf(err) != cause.Unproven || cause.IDOf(err) != not.Proof.Cause || !strings.Contains(err.Error(), ".qcow2 does not boot: ") {
		t.Fatalf("%v", err)
	}
	docs := documents(t, l, "played")
	d := docs[evidence.KindProof]
	var p evidence.Proof
	if err := d.Decode(&p); err != nil || d.Trust != evidence.Unsigned || d.Head.Verdict != evidence.Failed || len(p.Boots) != 1 || len(p.Boots[0].Argv) == 0 || p.Boots[0].Serial.Name == "" {
		t.Errorf("%+v, %v", d.Head, err)
	}
	if len(*releases) != 0 || steps(t, l, "played", id) == "" || !strings.Contains(g.since(), "tools.sh") {
		t.Errorf("published: %+v", *releases)
	}
	if _, err := l.Run(t.Context(), Options{Target: "played", Unproven: true}); err != nil {
		t.Fatal(err)
	}
	if len(*releases) != 1 || (*releases)[0].Proven || (*releases)[0].Proof != "" {
		t.Fatalf("published: %+v", *releases)
	}
	var rec evidence.Receipt
	if r := documents(t, l, "played")[evidence.KindReceipt]; r.Trust != evidence.Signed || r.Decode(&rec) != nil || rec.Proven || rec.Proof != "" {
		t.Errorf("receipt %+v", rec)
	}
}
