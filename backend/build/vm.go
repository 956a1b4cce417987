package build

import (
	"context"
	"maps"
	"path/filepath"

	"ingot/backend/build/outputs"
	"ingot/backend/build/record"
	"ingot/backend/build/vmdisk"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/family/all"
	"ingot/backend/target"
)

// vmSystem is the system that VMs run, as a key of all.System: the strategy vm changes
// only Linux so far.
const vmSystem = "linux"

// vmKeys returns the keys of the strategy vm. The content of the VM's disk is no input of
// the image step: Step.changed compares it.
func vmKeys(r target.Recipe, l target.Lock, fragments []family.Fragment) (k Keys, err error) {
	system, err := all.System(vmSystem)
	if err != nil {
		return k, err
	}
	k.Image = record.Inputs{"step": "image-vm/1", "arch": r.Arch, "recipe's vm": r.SourceInstance(), "recipe's changes": record.Key(r.Changes), "recipe's machine": record.Key(r.Board()), "recipe's sanitise": record.Key(r.SanitiseChoice())}
	maps.Copy(k.Image, system.ChangeInputs())
	if r.HasKernel() {
		of, err := KeysOf(r.KernelRecipe(), l, fragments)
		if err != nil {
			return k, err
		}
		k.Kernel = of.Kernel
		k.Image["kernel"] = of.Kernel.Key()
	}
	return k, nil
}

// fromVM returns the steps of the strategy vm: the disk of the user's VM is copied and
// changed.
func fromVM(r target.Recipe, l target.Lock, k Keys) []Step {
	changed := func(out outputs.Output) bool {
		var d vmdisk.Disk
		return out.Decode(&d) != nil || d.State == "" || d.State != vmdisk.StateNow(r)
	}
	var steps []Step
	image := Step{Name: StepImage, Evidence: evidence.KindImage, Inputs: k.Image, room: diskSpace, changed: changed}
	if r.HasKernel() {
		steps = append(steps, kernelStep(l, k))
		image.Needs = []string{StepKernel}
	}
	return append(steps, image,
		Step{Name: StepExport, Needs: []string{StepImage}, Evidence: evidence.KindArtifact, room: exportSpace},
		Step{Name: StepProve, Needs: []string{StepExport}, Evidence: evidence.KindProof, room: proveSpace},
		Step{Name: StepPublish, Needs: []string{StepExport, StepProve}, Evidence: evidence.KindReceipt})
}

// ofVM runs the steps that the strategy vm does in its own way.
type ofVM struct{ *Session }

// works replaces the works of these steps.
func (s ofVM) works(works map[string]work, is func(name string) Step) {
	works[StepImage] = work{run: func(ctx context.Context, got map[string]outputs.Output) (outputs.Output, error) {
		return s.step(ctx, is(StepImage), func(ctx context.Context, _ *record.Clock, dir string) (any, error) {
			return s.take(ctx, is(StepImage), got[StepKernel], dir)
		})
	}}
	works[StepExport] = work{run: func(ctx context.Context, got map[string]outputs.Output) (outputs.Output, error) {
		return exporter(s).export(ctx, is(StepExport), got[StepImage], got[StepImage]) // the disk has its kernel
	}}
}

// take makes the disk and records the evidence of guest and image.
func (s ofVM) take(ctx context.Context, step Step, kernel outputs.Output, dir string) (any, error) {
	system, err := all.System(vmSystem)
	if err != nil {
		return nil, err
	}
	var k family.Kernel
	if err := kernel.Decode(&k); kernel.Dir != "" && err != nil {
		return nil, err
	}
	log, err := s.log(StepImage)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	w := vmdisk.Work{Recipe: s.Recipe, System: system, KernelDir: kernel.Dir, Kernel: k, Stop: s.opt.StopVM, Cache: s.Home.Cache, Children: s.Children, Console: s.Folder.LogPath("console.log"), Log: log,
		Note: func(format string, args ...any) { s.Note(StepImage, format, args...) }, Progress: s.Progress(StepImage)}
	d, err := w.Make(ctx, dir)
	if err != nil {
		return nil, err
	}
	sum, err := s.Digests.Of(filepath.Join(dir, "disk.raw"))
	if err != nil {
		return nil, err
	}
	g := evidence.Guest{Name: "a copy of lima:" + d.Taken.Name, OS: d.Facts.OS, Arch: d.Facts.Arch, Kernel: d.Facts.Kernel, Distro: d.Facts.DistroID + " " + d.Facts.DistroVersion,
		CPUs: d.Facts.CPUs, Memory: int64(d.Facts.MemBytes), VM: &d.Taken}
	g.Head = s.Passed(evidence.KindGuest, record.Key("guest/1", g))
	if _, err := s.Keep(ctx, evidence.Subject{Name: g.Name, Digest: map[string]string{"sha256": g.Head.InputKey}}, g.Head, g); err != nil {
		return nil, err
	}
	doc := evidence.Image{Head: s.PassedFor(evidence.KindImage, step.Inputs), KernelRelease: d.Release, KernelBuildID: d.BuildID, Size: d.Size, Packages: d.Packages, VM: &d.Taken, Sanitised: &d.Sanitised}
	_, err = s.Keep(ctx, evidence.Subject{Name: "disk.raw", Digest: map[string]string{"sha256": sum}}, doc.Head, doc)
	return d, err
}
