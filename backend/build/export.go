package build

import (
	"context"
	"path/filepath"
	"strings"

	"ingot/backend/build/outputs"
	"ingot/backend/build/record"
	"ingot/backend/build/release"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/leak"
	"ingot/backend/target"
)

// exporter runs the export step of a build.
type exporter struct{ *Session }

// export writes the artifacts in all formats of the recipe.
func (s exporter) export(ctx context.Context, step Step, img, kernel outputs.Output) (outputs.Output, error) {
	var k family.Kernel
	if err := kernel.Decode(&k); err != nil {
		return outputs.Output{}, err
	}
	step.Inputs = ExportInputs(s.Recipe, img.Key, img.Files["disk.raw"])
	step.Key = step.Inputs.Key()
	out, err := s.step(ctx, step, func(ctx context.Context, _ *record.Clock, dir string) (any, error) {
		arts := release.Artifacts{Version: release.VersionOf(s.Folder.ID), Kernel: k}
		for _, format := range s.Recipe.Export.Formats {
			a, err := release.Write(ctx, s.Recipe, img.Dir, dir, arts.Version, format, s.Digests.Of, s.Progress(StepExport))
			if err != nil {
				return nil, err
			}
			arts.Files = append(arts.Files, a)
		}
		leaks, err := leaksIn(ctx, img)
		if err != nil {
			return nil, err
		}
		for _, a := range arts.Files {
			if err := s.keepArtifact(ctx, step.Inputs, img, a, k, leaks); err != nil {
				return nil, err
			}
		}
		return arts, nil
	})
	if err != nil {
		return outputs.Output{}, err
	}
	err = out.Decode(&s.arts)
	s.arts.Dir = out.Dir
	return out, err
}

// ExportInputs returns the inputs of the export of a disk, from the key of its image
// step and its digest.
func ExportInputs(r target.Recipe, imageKey, disk string) record.Inputs {
	return record.Inputs{"step": "export/2", "image": imageKey, "disk.raw": disk, "formats": strings.Join(r.Export.Formats, " "), "variant": r.Variant, "leak rules": leak.ShippedID()}
}

// ArtifactPath returns the path of an exported file, relative to the home's data
// folder, with slashes; key is that of the export step.
func (l *Line) ArtifactPath(key, name string) (string, error) {
	rel, err := filepath.Rel(l.Home.Data, filepath.Join(l.Outputs(evidence.KindArtifact).Path(StepExport, key), name))
	return filepath.ToSlash(rel), err
}

func (s exporter) keepArtifact(ctx context.Context, in record.Inputs, img outputs.Output, a release.Artifact, k family.Kernel, leaks *evidence.Leaks) error {
	rel, err := s.ArtifactPath(in.Key(), a.Name)
	if err != nil {
		return err
	}
	head := s.PassedFor(evidence.KindArtifact, in)
	if release.BesideDisk(a.Format) {
		head.InputKey += "/" + a.Format
	}
	var made struct { // a family.Disk or a vmdisk.Disk
		Size  int64
		Taken *evidence.Taken
	}
	if err := img.Decode(&made); err != nil {
		return err
	}
	doc := evidence.Artifact{Head: head, Name: a.Name, Format: a.Format, File: rel, Size: a.Size, VirtualSize: made.Size, VM: made.Taken,
		SHA512: a.SHA512, ImageDigest: img.Files["disk.raw"], KernelRelease: k.Release, KernelBuildID: k.BuildID, Leaks: leaks}
	_, err = s.Keep(ctx, evidence.Subject{Name: a.Name, Digest: map[string]string{"sha256": a.SHA256, "sha512": a.SHA512}}, doc.Head, doc)
	return err
}

// Configure checks recipe, lock and fragments and records the configuration.
func (s *Session) Configure(ctx context.Context) ([]family.Fragment, error) {
	lock, err := s.Targets.Lock(s.Recipe)
	if err == nil {
		err = lock.Check(s.Recipe)
	}
	var frags []family.Fragment
	if err == nil {
		frags, err = Fragments(s.Targets, s.Recipe)
	}
	symbols := 0
	if err == nil && s.Family != nil {
		symbols, err = s.Family.CheckFragments(frags)
	}
	pinned := ""
	if s.Recipe.Locked() {
		pinned = lock.Digest()
	}
	k := record.Key("config/1", s.Recipe.Digest(), pinned, frags)
	if err != nil {
		return nil, s.StepFailed(ctx, StepConfig, k, evidence.KindConfig, err)
	}
	s.Lock = lock
	if s.Evidenced(evidence.KindConfig, k) {
		return frags, s.Restate(ctx, evidence.KindConfig)
	}
	doc := evidence.Config{Head: s.Passed(evidence.KindConfig, k), Recipe: s.Recipe.Digest(), Lock: pinned, Symbols: symbols}
	for _, s := range lock.Suites {
		doc.Suites = append(doc.Suites, evidence.ConfigSuite{Archive: s.Archive, Suite: s.Suite, InRelease: s.InRelease})
	}
	_, err = s.Keep(ctx, evidence.Subject{Name: s.Recipe.Name, Digest: map[string]string{"sha256": s.Recipe.Digest()}}, doc.Head, doc)
	return frags, err
}
