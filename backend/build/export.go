package build

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"ingot/backend/build/outputs"
	"ingot/backend/build/record"
	"ingot/backend/build/release"
	"ingot/backend/cause"
	"ingot/backend/disk"
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
		arts := release.Artifacts{Version: VersionOf(s.Folder.ID), Kernel: k}
		for _, format := range s.Recipe.Export.Formats {
			a, err := s.exportOne(ctx, img, dir, arts.Version, format)
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

// ArtifactName returns the name of the exported file of a format.
func ArtifactName(r target.Recipe, version, format string) string {
	extension := format
	if f, err := disk.FormatNamed(format); err == nil {
		extension = f.Extension
	}
	return fmt.Sprintf("%s-%s-%s-%s-%s.%s", r.OS, r.Release, r.Variant, r.Arch, version, extension)
}

// ArtifactPath returns the path of an exported file, relative to the home's data
// folder, with slashes; key is that of the export step.
func (l *Line) ArtifactPath(key, name string) (string, error) {
	rel, err := filepath.Rel(l.Home.Data, filepath.Join(l.Outputs(evidence.KindArtifact).Path(StepExport, key), name))
	return filepath.ToSlash(rel), err
}

// exportOne writes one format and computes its digests.
func (s exporter) exportOne(ctx context.Context, img outputs.Output, dir, version, format string) (release.Artifact, error) {
	name := ArtifactName(s.Recipe, version, format)
	dst := filepath.Join(dir, name)
	if err := Export(ctx, format, img.File("disk.raw"), img.File("root.tar"), dst, s.Progress(StepExport)); err != nil {
		return release.Artifact{}, err
	}
	f, err := os.Open(dst)
	if err != nil {
		return release.Artifact{}, err
	}
	defer f.Close()
	sum512 := sha512.New()
	n, err := io.Copy(sum512, f)
	if err != nil {
		return release.Artifact{}, fmt.Errorf("digest of %s: %w", name, err)
	}
	sum, err := s.Digests.Of(dst)
	return release.Artifact{Name: name, Format: format, SHA256: sum, SHA512: hex.EncodeToString(sum512.Sum(nil)), Size: n}, err
}

// Export writes a raw disk in a format, or the root tar in a format that is made from a
// tree; *disk.FormatError for an unknown one.
func Export(ctx context.Context, format, rawDisk, rootTar, dst string, progress func(done, total int64)) error {
	f, err := disk.FormatNamed(format)
	if err != nil {
		return err
	}
	if f.WriteTree != nil {
		return f.WriteTree(ctx, rootTar, dst)
	}
	src, err := disk.OpenRaw(rawDisk)
	if err != nil {
		return err
	}
	defer src.Close()
	return f.WriteDisk(ctx, src, dst, progress)
}

// BesideDisk reports whether a format's file is additional to the disk that is proved:
// its documents have separate input keys, and the status row shows the disk.
func BesideDisk(format string) bool {
	f, err := disk.FormatNamed(format)
	return err == nil && !f.Bootable
}

func (s exporter) keepArtifact(ctx context.Context, in record.Inputs, img outputs.Output, a release.Artifact, k family.Kernel, leaks *evidence.Leaks) error {
	rel, err := s.ArtifactPath(in.Key(), a.Name)
	if err != nil {
		return err
	}
	head := s.PassedFor(evidence.KindArtifact, in)
	if BesideDisk(a.Format) {
		head.InputKey += "/" + a.Format
	}
	doc := evidence.Artifact{Head: head, Name: a.Name, Format: a.Format, File: rel, Size: a.Size, VirtualSize: int64(s.Recipe.Disk.Size),
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
	if err == nil {
		symbols, err = s.Family.CheckFragments(frags)
	}
	k := record.Key("config/1", s.Recipe.Digest(), lock.Digest(), frags)
	if err != nil {
		return nil, s.StepFailed(ctx, StepConfig, k, evidence.KindConfig, err)
	}
	s.Lock = lock
	if s.Evidenced(evidence.KindConfig, k) {
		return frags, s.Restate(ctx, evidence.KindConfig)
	}
	doc := evidence.Config{Head: s.Passed(evidence.KindConfig, k), Recipe: s.Recipe.Digest(), Lock: lock.Digest(), Symbols: symbols}
	for _, s := range lock.Suites {
		doc.Suites = append(doc.Suites, evidence.ConfigSuite{Archive: s.Archive, Suite: s.Suite, InRelease: s.InRelease})
	}
	_, err = s.Keep(ctx, evidence.Subject{Name: s.Recipe.Name, Digest: map[string]string{"sha256": s.Recipe.Digest()}}, doc.Head, doc)
	return frags, err
}

// MissingToolsError lists programs that a guest lacks.
type MissingToolsError struct {
	Guest string
	Tools []family.Tool
}

func (e *MissingToolsError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "guest %s lacks what the build needs:", e.Guest)
	for _, t := range e.Tools {
		fmt.Fprintf(&b, "\n  %s (%s)", t.Name, t.Why)
	}
	b.WriteString("\nrun `ingot doctor --install`")
	return b.String()
}

// ErrorClass returns the class of the error; see package cause.
func (*MissingToolsError) ErrorClass() cause.Class { return cause.Missing }

// Unwrap returns an error with the cause.
func (e *MissingToolsError) Unwrap() error {
	return &cause.Error{ID: "guest.tool-missing", Err: fmt.Errorf("%d programs are missing", len(e.Tools))}
}
