package build

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/home"
	"ingot/backend/image"
	"ingot/backend/target"
)

// Room that a step needs at most, measured on debian-12-arm64 and rounded up:
// the kernel's source and objects are 2.0 GiB, a root file system in three
// forms 1.9 GiB.
const (
	kernelSpace = 3 << 30
	rootfsSpace = 2 << 30
	diskSpace   = 4 << 30
	exportSpace = 1 << 30
	proveSpace  = 256 << 20 // what a first boot writes
)

// all runs the line.
func (r *run) all(ctx context.Context) error {
	frags, err := r.configure(ctx)
	if err != nil {
		return err
	}
	if err := r.openGuest(ctx); err != nil {
		return err
	}
	defer r.guest.Close()
	keys := KeysOf(r.recipe, r.lock, frags)
	kernel, rootfs, err := r.kernelAndRootfs(ctx, keys, frags, r.wants(StepRootfs) && (!r.done(StepImage, keys.Image.Key(), evidence.KindImage) || r.forced(StepRootfs)))
	if err != nil || !r.wants(StepImage) {
		return err
	}
	img, err := r.image(ctx, keys.Image, kernel, rootfs)
	if err != nil || !r.wants(StepExport) {
		return err
	}
	art, err := r.export(ctx, img, kernel)
	if err != nil {
		return err
	}
	if r.opt.Check {
		return r.check(ctx, keys, frags, map[string]output{StepKernel: kernel, StepImage: img, StepExport: r.exported})
	}
	if !r.wants(StepProve) {
		return nil
	}
	if err := r.prove(ctx, art, keys); err != nil && !(r.opt.Unproven && r.wants(StepPublish)) {
		return err
	}
	if !r.wants(StepPublish) {
		return nil
	}
	return r.publish(ctx, art)
}

// step runs one step: skipped when its output is whole and signed evidence of
// the kind stands for the same key ("" asks for the output alone).
func (r *run) step(ctx context.Context, name string, in Inputs, kind evidence.Kind, room uint64, fill func(ctx context.Context, c *clock, dir string) (any, error)) (output, error) {
	store, key := r.outputs(name, kind), in.Key()
	leave, err := r.Making.enter(ctx, store.path(name, key))
	if err != nil {
		return output{}, err
	}
	defer leave()
	if r.done(name, key, kind) {
		if err := r.restate(ctx, kind); err != nil {
			return output{}, err
		}
		out, _ := store.load(name, key)
		r.emit(event.Event{Kind: event.StepSkipped, Step: name, Msg: "unchanged since build " + out.Build})
		return out, nil
	}
	watch := newClock()
	r.emit(event.Event{Kind: event.StepStarted, Step: name, Msg: r.why(name, kind, in)})
	if err := r.needSpace(ctx, room, name+" step"); err != nil {
		return output{}, r.stepFailed(ctx, name, key, kind, err)
	}
	out, err := store.make(name, key, r.folder.ID, func(dir string) (any, error) { return fill(ctx, watch, dir) })
	if err != nil {
		return output{}, r.stepFailed(ctx, name, key, kind, err)
	}
	r.emit(watch.stamp(event.Event{Kind: event.StepFinished, Step: name, Outcome: event.Passed}))
	return out, nil
}

// needSpace looks at both places that a step fills: the home, and the guest's
// work directory.
func (r *run) needSpace(ctx context.Context, room uint64, what string) error {
	if err := home.NeedSpace(r.Home.Data, room, what); err != nil {
		return err
	}
	f, err := r.guest.Facts(ctx)
	if err != nil {
		return cause.With("guest.unreachable", err)
	}
	if f.WorkFreeBytes < room {
		return &home.NoSpaceError{Path: "the work directory of guest " + r.guest.Name(), What: what, Need: room, Free: f.WorkFreeBytes}
	}
	return nil
}

// done tells whether a step need not run.
func (r *run) done(name, key string, kind evidence.Kind) bool {
	out, ok := r.outputs(name, kind).load(name, key)
	if !ok || r.forced(name) || !r.evidenced(kind, key) {
		return false
	}
	d, _ := r.records.of(kind)
	return kind == "" || out.holds(d.Subject().SHA256())
}

// outputs is where this run puts a step's outputs.
func (r *run) outputs(step string, kind evidence.Kind) outputs {
	if r.rebuilds(step) {
		return outputs{r.scratch, r.Digests}
	}
	return r.store(kind)
}

// store is where a step's outputs lie. What no evidence speaks of (the base
// root file system, the tools' disk) is a cache that all homes may share.
func (l *Line) store(kind evidence.Kind) outputs {
	if kind == "" {
		return outputs{filepath.Join(l.Home.Cache, "outputs"), l.Digests}
	}
	return outputs{filepath.Join(l.Home.Data, "outputs"), l.Digests}
}

// log opens a step's log file in the build's folder.
func (r *run) log(step string) (io.WriteCloser, error) {
	p := r.folder.LogPath(step + ".log")
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	f, err := os.OpenFile(p, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil || r.Logged == nil {
		return f, err
	}
	return logFile{f, r.Logged}, nil
}

// logFile says when it has grown.
type logFile struct {
	*os.File
	grown func()
}

func (l logFile) Write(p []byte) (int, error) {
	n, err := l.File.Write(p)
	l.grown()
	return n, err
}

// work gives an image work with the step's log; the caller closes the log.
func (r *run) work(step string, c *clock) (*image.Work, io.Closer, error) {
	log, err := r.log(step)
	if err != nil {
		return nil, nil, err
	}
	w := &image.Work{Guest: timedGuest{r.guest, c}, Recipe: r.recipe, Lock: r.lock, Cache: r.guestCache(), Log: log, Progress: r.progress(step), Keep: r.opt.Keep,
		Input: func(p target.LockedPackage) (string, error) {
			if f := r.inputs[p.SHA256]; f != "" {
				return f, nil
			}
			return "", fmt.Errorf("package %s was not fetched", p.Name)
		}}
	return w, log, nil
}

// kernelAndRootfs makes both side by side; the first failure cancels the other.
// The root file system is not needed when the image of it is there.
func (r *run) kernelAndRootfs(ctx context.Context, k Keys, frags []image.Fragment, needRootfs bool) (kernel, rootfs output, err error) {
	if err = r.fetchInputs(ctx, k, needRootfs); err != nil {
		return kernel, rootfs, err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		var err error
		kernel, err = r.step(gctx, StepKernel, k.Kernel, evidence.KindKernel, kernelSpace, func(ctx context.Context, c *clock, dir string) (any, error) {
			return r.buildKernel(ctx, c, k.Kernel, frags, dir)
		})
		return err
	})
	if needRootfs {
		g.Go(func() error {
			var err error
			rootfs, err = r.step(gctx, StepRootfs, k.Rootfs, "", rootfsSpace, func(ctx context.Context, c *clock, dir string) (any, error) {
				w, log, err := r.work(StepRootfs, c)
				if err != nil {
					return nil, err
				}
				defer log.Close()
				return struct{}{}, image.BuildRootfs(ctx, w, dir)
			})
			return err
		})
	}
	return kernel, rootfs, g.Wait()
}

// buildKernel compiles, and puts the evidence beside the output.
func (r *run) buildKernel(ctx context.Context, c *clock, in Inputs, frags []image.Fragment, dir string) (any, error) {
	w, log, err := r.work(StepKernel, c)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	k, err := image.BuildKernel(ctx, w, in.Key(), frags, dir)
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for _, f := range image.KernelFiles {
		if sums[f], err = r.Digests.Of(filepath.Join(dir, f)); err != nil {
			return nil, err
		}
	}
	info, err := os.Stat(filepath.Join(dir, "vmlinuz"))
	if err != nil {
		return nil, err
	}
	doc := evidence.Kernel{Head: r.passedFor(evidence.KindKernel, in), Release: k.Release, BuildID: k.BuildID, Config: sums["config"], Modules: sums["modules.tar"],
		Source: r.lock.Kernel.Name + "=" + r.lock.Kernel.Version, Compiler: k.Compiler, Size: info.Size()}
	_, err = r.keep(ctx, evidence.Subject{Name: "vmlinuz-" + k.Release, Digest: map[string]string{"sha256": sums["vmlinuz"]}}, doc.Head, doc)
	return k, err
}

// image puts rootfs and kernel together on a disk.
func (r *run) image(ctx context.Context, in Inputs, kernel, rootfs output) (output, error) {
	var k image.Kernel
	if err := kernel.meta(&k); err != nil {
		return output{}, err
	}
	tar := r.exports("tar.zst")
	return r.step(ctx, StepImage, in, evidence.KindImage, diskSpace, func(ctx context.Context, c *clock, dir string) (any, error) {
		w, log, err := r.work(StepImage, c)
		if err != nil {
			return nil, err
		}
		defer log.Close()
		var sum string
		disk, err := image.BuildDisk(ctx, w, in.Key(), image.DiskInputs{Rootfs: rootfs.file("rootfs.tar"), Vmlinuz: kernel.file("vmlinuz"),
			Config: kernel.file("config"), Modules: kernel.file("modules.tar"), Release: k.Release, RootTar: tar,
			Whole: func(file string) (err error) { sum, err = r.Digests.Of(file); return err }}, dir)
		if err != nil {
			return nil, err
		}
		doc := evidence.Image{Head: r.passedFor(evidence.KindImage, in), KernelRelease: k.Release, KernelBuildID: k.BuildID, Size: disk.Size, RootUUID: disk.RootPartUUID}
		for _, p := range r.lock.Rootfs {
			doc.Packages = append(doc.Packages, p.Name+"="+p.Version+":"+p.Arch)
		}
		_, err = r.keep(ctx, evidence.Subject{Name: "disk.raw", Digest: map[string]string{"sha256": sum}}, doc.Head, doc)
		return disk, err
	})
}

func (r *run) exports(format string) bool {
	for _, f := range r.recipe.Export.Formats {
		if f == format {
			return true
		}
	}
	return false
}
