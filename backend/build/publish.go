package build

import (
	"context"
	"fmt"
	"strconv"

	"ingot/backend/build/record"
	"ingot/backend/build/release"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/home"
	"ingot/backend/publish"
)

// Publish publishes the artifacts with their evidence and records the receipt. It
// requires a proof of the same digest.
func (s *Session) Publish(ctx context.Context, arts release.Artifacts) error {
	a := arts.Primary()
	to, free, err := s.Publisher(ctx, s.opt.To)
	if err != nil {
		return s.StepFailed(ctx, StepPublish, record.Key("publish/1", a.SHA256), evidence.KindReceipt, err)
	}
	defer free()
	proven := s.provenNow(a.SHA256)
	in := record.Inputs{"step": "publish/2", "artifact": a.SHA256, "endpoint": to.ID(), "proven": strconv.FormatBool(proven)}
	if s.opt.Unscanned {
		in["unscanned"] = "allowed"
	}
	stepKey := in.Key()
	if !s.forced(StepPublish) && s.stillPublished(stepKey) {
		d, _ := s.Documents.Of(evidence.KindReceipt)
		s.Skipped(StepPublish, "published by build "+d.Head.Build)
		return nil
	}
	watch := record.NewClock()
	s.Emit(event.Event{Kind: event.StepStarted, Step: StepPublish, Msg: s.why(Step{Name: StepPublish, Evidence: evidence.KindReceipt, Inputs: in})})
	rel, err := s.Releasing().Release(arts, proven)
	if err == nil && to.Local() && s.opt.To == "" {
		err = home.NeedSpace(s.Home.Data, arts.Bytes(), "copy in the local store")
	}
	if err != nil {
		return s.StepFailed(ctx, StepPublish, stepKey, evidence.KindReceipt, err)
	}
	rec, err := s.Line.Publish(ctx, to, rel, publish.Options{AllowUnproven: s.opt.Unproven, Progress: s.Progress(StepPublish)})
	if err != nil {
		return s.StepFailed(ctx, StepPublish, stepKey, evidence.KindReceipt, err)
	}
	if rec.DiskSHA256 != a.SHA256 {
		err := &publish.Error{Cause: "image.digest-changed", Msg: fmt.Sprintf("%s was read back with SHA-256 %s, but the export's evidence is about %s", rec.DiskURL, rec.DiskSHA256, a.SHA256)}
		return s.StepFailed(ctx, StepPublish, stepKey, evidence.KindReceipt, err)
	}
	if err := s.keepReceipt(ctx, in, rec, rel); err != nil {
		return err
	}
	s.Emit(watch.Stamp(event.Event{Kind: event.StepFinished, Step: StepPublish, Outcome: event.Passed, Msg: rec.URL}))
	return nil
}

// Releasing returns the build in the form from which its release is collected.
func (s *Session) Releasing() release.Build {
	return release.Build{Recipe: s.Recipe, Family: s.Family, Lock: s.Lock, Documents: s.Documents, Ledger: s.Ledger, Signer: s.Signer, Keys: s.Keys, Version: s.Version, Unscanned: s.opt.Unscanned}
}

// stillPublished reports whether the newest receipt is one of the key. After a failed
// publish, or one of another artifact, it is published again, which compares existing
// files.
func (s *Session) stillPublished(stepKey string) bool {
	if !s.Evidenced(evidence.KindReceipt, stepKey) {
		return false
	}
	d, _ := s.Documents.Of(evidence.KindReceipt)
	return s.Documents.NewestIs(d)
}

// provenNow reports whether signed evidence shows that these bytes booted.
func (s *Session) provenNow(sha256 string) bool {
	d, ok := s.Documents.Of(evidence.KindProof)
	return ok && record.Passes(d) && d.Subject().SHA256() == sha256
}

func (s *Session) keepReceipt(ctx context.Context, in record.Inputs, rec publish.Receipt, rel publish.Release) error {
	doc := evidence.Receipt{Head: s.PassedFor(evidence.KindReceipt, in), URL: rec.URL, Disk: rec.DiskURL, Version: rec.Version, Size: rec.DiskSize,
		Anonymous: rec.Anonymous, Local: rec.Local, Proven: rel.Proven, Unscanned: rel.Unscanned, Proof: rel.Proof}
	for _, f := range rec.Files {
		doc.Files = append(doc.Files, evidence.File{Name: f.Name, SHA256: f.SHA256, Size: f.Size})
	}
	_, err := s.Keep(ctx, evidence.Subject{Name: rec.DiskURL, Digest: map[string]string{"sha256": rec.DiskSHA256}}, doc.Head, doc)
	return err
}
