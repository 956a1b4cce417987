package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ingot/backend/event"
	"ingot/backend/fetch"
	"ingot/backend/image"
)

// rebuildable are the steps whose output is a function of their inputs.
var rebuildable = []string{StepKernel, StepRootfs, StepImage, StepExport}

// NotReproducibleError names the first difference between an output and its
// rebuild.
type NotReproducibleError struct{ Step, What string }

func (e *NotReproducibleError) Error() string {
	return fmt.Sprintf("the %s step made other bytes of the same inputs: %s", e.Step, e.What)
}

// CauseID names the cause.
func (e *NotReproducibleError) CauseID() string { return "image.not-reproducible" }

// checkedSteps are the steps that a check makes again: those given with
// --force, or all whose output is a function of their inputs.
func (o Options) checkedSteps() []string {
	if len(o.Force) > 0 {
		return o.Force
	}
	return rebuildable
}

// check makes outputs that are there once more, in a folder of its own and
// without the compiler cache, and compares. Neither outputs nor evidence of
// the home change. The first difference is the error.
func (r *run) check(ctx context.Context, keys Keys, frags []image.Fragment, first map[string]output) error {
	scratch, err := halfMade(filepath.Join(r.Home.Data, "outputs"), "checking")
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	again := *r
	again.scratch, again.rebuild, again.opt.Force = scratch, r.opt.checkedSteps(), nil
	err = again.compare(ctx, keys, frags, first)
	return errors.Join(err, os.RemoveAll(scratch))
}

func (r *run) compare(ctx context.Context, keys Keys, frags []image.Fragment, first map[string]output) error {
	needRootfs := r.rebuilds(StepRootfs) || r.rebuilds(StepImage)
	kernel, rootfs, err := r.kernelAndRootfs(ctx, keys, frags, needRootfs)
	if err != nil {
		return err
	}
	img, err := r.image(ctx, keys.Image, kernel, rootfs)
	if err != nil {
		return err
	}
	if r.rebuilds(StepExport) { // an export of the new disk has no place among the outputs that stand
		if _, err := r.export(ctx, img, kernel); err != nil {
			return err
		}
	}
	var same []string
	for _, step := range rebuildable {
		if !r.rebuilds(step) {
			continue
		}
		b, ok := map[string]output{StepKernel: kernel, StepRootfs: rootfs, StepImage: img, StepExport: r.exported}[step]
		a, had := first[step]
		if step == StepRootfs && !had {
			a, had = r.Line.store("").load(StepRootfs, keys.Rootfs.Key())
		}
		if !ok || !had {
			r.note(step, "made again, but there is nothing to compare it with")
			continue
		}
		if err := r.sameBytes(step, a, b); err != nil {
			return err
		}
		same = append(same, step)
	}
	r.emit(event.Event{Kind: event.Note, Step: "check", Msg: "the same bytes again: " + strings.Join(same, ", ")})
	return nil
}

// sameBytes compares two outputs of a step, the telling files first.
func (r *run) sameBytes(step string, a, b output) error {
	names := sortedNames(a.Files)
	for _, telling := range []string{"config", image.TreeFile} {
		if i := slices.Index(names, telling); i > 0 {
			names = slices.Insert(slices.Delete(names, i, i+1), 0, telling)
		}
	}
	others := sortedNames(b.Files)
	for i, name := range names {
		other := name
		if step == StepExport { // named by the time of the export
			other = others[min(i, len(others)-1)]
		}
		if b.Files[other] == a.Files[name] {
			continue
		}
		what, err := image.Compare(r.recipe, a.file(name), b.file(other))
		if err != nil {
			return err
		}
		if what == "" { // the recorded digest is not that of the file
			sum, err := fetch.Digest(a.file(name))
			return errors.Join(fmt.Errorf("%s: file %s, record %s", a.file(name), sum, a.Files[name]), err)
		}
		return &NotReproducibleError{step, what}
	}
	return nil
}

func sortedNames(files map[string]string) []string {
	var names []string
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// rebuilds tells whether this is a check that makes the step's output again.
func (r *run) rebuilds(step string) bool { return slices.Contains(r.rebuild, step) }
