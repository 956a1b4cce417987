package build

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/image"
)

// artifacts is the export step's outcome: what was exported under which names.
type artifacts struct {
	Version string     `json:"version"` // YYYYMMDD-HHMM of the export
	Files   []artifact `json:"files"`   // the bootable disk first
	Kernel  image.Kernel
	dir     string
}

type artifact struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	SHA256 string `json:"sha256"`
	SHA512 string `json:"sha512"`
	Size   int64  `json:"size"`
}

// subject is what a proof of the file is about.
func (a artifact) subject() evidence.Subject {
	return evidence.Subject{Name: a.Name, Digest: map[string]string{"sha256": a.SHA256}}
}

func (a artifacts) bytes() (sum uint64) {
	for _, f := range a.Files {
		sum += uint64(f.Size)
	}
	return sum
}

func (a artifacts) primary() artifact      { return a.Files[0] }
func (a artifacts) path(f artifact) string { return filepath.Join(a.dir, f.Name) }

// export writes the artifacts in all formats of the recipe.
func (r *run) export(ctx context.Context, img, kernel output) (artifacts, error) {
	var k image.Kernel
	if err := kernel.meta(&k); err != nil {
		return artifacts{}, err
	}
	in := r.exportInputs(img.Key, img.Files["disk.raw"])
	out, err := r.step(ctx, StepExport, in, evidence.KindArtifact, exportSpace, func(ctx context.Context, _ *clock, dir string) (any, error) {
		version := VersionOf(r.folder.ID)
		arts := artifacts{Version: version, Kernel: k}
		for _, format := range r.recipe.Export.Formats {
			a, err := r.exportOne(ctx, img, dir, version, format)
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
			if err := r.keepArtifact(ctx, in, img, a, k, leaks); err != nil {
				return nil, err
			}
		}
		return arts, nil
	})
	if err != nil {
		return artifacts{}, err
	}
	var arts artifacts
	err = out.meta(&arts)
	arts.dir, r.exported = out.Dir, out
	r.arts = arts
	return arts, err
}

// exportInputs are those of the export of a disk, by its step's key and digest.
func (r *run) exportInputs(imageKey, disk string) Inputs {
	return Inputs{"step": "export/2", "image": imageKey, "disk.raw": disk, "formats": strings.Join(r.recipe.Export.Formats, " "), "variant": r.recipe.Variant, "leak rules": leakRules()}
}

// artifactName is the name of the file of a format.
func (r *run) artifactName(version, format string) string {
	return fmt.Sprintf("%s-%s-%s-%s-%s.%s", r.recipe.OS, r.recipe.Release, r.recipe.Variant, r.recipe.Arch, version, format)
}

// artifactPath is where it lies, relative to the data folder, with slashes.
func (r *run) artifactPath(key, name string) (string, error) {
	rel, err := filepath.Rel(r.Home.Data, filepath.Join(r.store(evidence.KindArtifact).path(StepExport, key), name))
	return filepath.ToSlash(rel), err
}

// exportOne writes one format and takes its digests.
func (r *run) exportOne(ctx context.Context, img output, dir, version, format string) (artifact, error) {
	name := r.artifactName(version, format)
	dst := filepath.Join(dir, name)
	if err := Export(ctx, format, img.file("disk.raw"), img.file("root.tar"), dst, r.progress(StepExport)); err != nil {
		return artifact{}, err
	}
	f, err := os.Open(dst)
	if err != nil {
		return artifact{}, err
	}
	defer f.Close()
	sum512 := sha512.New()
	n, err := io.Copy(sum512, f)
	if err != nil {
		return artifact{}, fmt.Errorf("digest of %s: %w", name, err)
	}
	sum, err := r.Digests.Of(dst)
	return artifact{name, format, sum, hex.EncodeToString(sum512.Sum(nil)), n}, err
}

// CheckFormat refuses a format that Export does not know.
func CheckFormat(format string) error {
	if !slices.Contains(Formats, format) {
		return &OptionError{fmt.Sprintf("there is no format %q; the formats are %s", format, strings.Join(Formats, ", "))}
	}
	return nil
}

// Formats are those that an export can be made in.
var Formats = []string{"qcow2", "raw", "tar.zst"}

// Export writes a raw disk (or, for tar.zst, a root tar) in a format.
func Export(ctx context.Context, format, rawDisk, rootTar, dst string, progress func(done, total int64)) error {
	if err := CheckFormat(format); err != nil {
		return err
	}
	if format == "tar.zst" {
		return disk.TarZst(ctx, rootTar, dst)
	}
	src, err := disk.OpenRaw(rawDisk)
	if err != nil {
		return err
	}
	defer src.Close()
	sinks := map[string]disk.Sink{"qcow2": disk.Qcow2{Path: dst}, "raw": disk.Raw{Path: dst}}
	return sinks[format].Take(ctx, src, progress)
}

func (r *run) keepArtifact(ctx context.Context, in Inputs, img output, a artifact, k image.Kernel, leaks *evidence.Leaks) error {
	rel, err := r.artifactPath(in.Key(), a.Name)
	if err != nil {
		return err
	}
	head := r.passedFor(evidence.KindArtifact, in)
	if a.Format == "tar.zst" { // the row shows the bootable disk; other formats have documents of their own
		head.InputKey += "/" + a.Format
	}
	doc := evidence.Artifact{Head: head, Name: a.Name, Format: a.Format, File: rel, Size: a.Size, VirtualSize: int64(r.recipe.Disk.Size),
		SHA512: a.SHA512, ImageDigest: img.Files["disk.raw"], KernelRelease: k.Release, KernelBuildID: k.BuildID, Leaks: leaks}
	_, err = r.keep(ctx, evidence.Subject{Name: a.Name, Digest: map[string]string{"sha256": a.SHA256, "sha512": a.SHA512}}, doc.Head, doc)
	return err
}

// configure checks recipe, lock and fragments and records the configuration.
func (r *run) configure(ctx context.Context) ([]image.Fragment, error) {
	lock, err := r.Targets.Lock(r.recipe)
	if err == nil {
		err = lock.Check(r.recipe)
	}
	var frags []image.Fragment
	if err == nil {
		frags, err = Fragments(r.Targets, r.recipe)
	}
	symbols := 0
	if err == nil {
		symbols, err = image.CheckFragments(frags)
	}
	k := key("config/1", r.recipe.Digest(), lock.Digest(), frags)
	if err != nil {
		return nil, r.stepFailed(ctx, StepConfig, k, evidence.KindConfig, err)
	}
	r.lock = lock
	if r.evidenced(evidence.KindConfig, k) {
		return frags, r.restate(ctx, evidence.KindConfig)
	}
	doc := evidence.Config{Head: r.passed(evidence.KindConfig, k), Recipe: r.recipe.Digest(), Lock: lock.Digest(), Symbols: symbols}
	for _, s := range lock.Suites {
		doc.Suites = append(doc.Suites, evidence.ConfigSuite{Archive: s.Archive, Suite: s.Suite, InRelease: s.InRelease})
	}
	_, err = r.keep(ctx, evidence.Subject{Name: r.recipe.Name, Digest: map[string]string{"sha256": r.recipe.Digest()}}, doc.Head, doc)
	return frags, err
}

// MissingToolsError lists programs that a guest lacks.
type MissingToolsError struct {
	Guest string
	Tools []image.Tool
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

// Unwrap gives the error its cause.
func (e *MissingToolsError) Unwrap() error {
	return &cause.Error{ID: "guest.tool-missing", Err: fmt.Errorf("%d programs are missing", len(e.Tools))}
}

// skipped says that a step is done already, and by whom.
func (r *run) skipped(step, msg string) {
	r.emit(event.Event{Kind: event.StepSkipped, Step: step, Msg: msg})
}
