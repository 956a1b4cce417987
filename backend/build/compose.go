package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"ingot/backend/build/outputs"
	"ingot/backend/build/record"
	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/home"
	"ingot/backend/target"
)

// Upper bounds of the space that a step needs in bytes, measured on debian-12-arm64 and
// rounded up: the kernel's source and objects take 2.0 GiB, a root file system in three
// forms 1.9 GiB.
const (
	kernelSpace = 3 << 30
	rootfsSpace = 2 << 30
	diskSpace   = 4 << 30
	exportSpace = 1 << 30
	toolsSpace  = 256 << 20
	proveSpace  = 256 << 20 // what a first boot writes
)

// Run runs the build's plan up to the step Options.Until.
func (s *Session) Run(ctx context.Context) (err error) {
	frags, err := s.Configure(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.guest.close()) }()
	plan, err := PlanOf(s.Recipe, s.Lock, frags)
	if err != nil {
		return err
	}
	got, err := s.execute(ctx, plan, frags, s.goesTo)
	if err != nil || !s.opt.Check {
		return err
	}
	return s.check(ctx, plan, frags, got)
}

// goesTo reports whether the build includes the step.
func (s *Session) goesTo(step string) bool {
	if s.opt.Check && slices.Index(Steps, step) > slices.Index(Steps, StepExport) {
		return false
	}
	return slices.Contains(Steps, step) && s.Wants(step)
}

// execute runs the wanted steps of a plan and returns their outputs.
func (s *Session) execute(ctx context.Context, plan Plan, frags []family.Fragment, wanted func(step string) bool) (map[string]outputs.Output, error) {
	e := engine{plan: plan, works: s.works(plan, frags), wanted: wanted, prepare: s.prepare,
		forced: func(step string) bool { return s.forced(step) || s.rebuilds(step) }}
	return e.run(ctx)
}

// works returns how each step of a plan is run.
func (s *Session) works(plan Plan, frags []family.Fragment) map[string]work {
	is := func(name string) Step { step, _ := plan.Step(name); return step }
	p := &prover{Session: s, keys: plan.keys}
	works := map[string]work{
		StepKernel: {run: func(ctx context.Context, _ map[string]outputs.Output) (outputs.Output, error) {
			return s.step(ctx, is(StepKernel), func(ctx context.Context, c *record.Clock, dir string) (any, error) {
				return s.buildKernel(ctx, c, is(StepKernel).Inputs, frags, dir)
			})
		}},
		StepRootfs: {run: func(ctx context.Context, _ map[string]outputs.Output) (outputs.Output, error) {
			return s.simple(ctx, is(StepRootfs), s.Family.BuildRootfs)
		}},
		StepImage: {
			todo: func(context.Context, map[string]outputs.Output) (bool, error) { return !s.done(is(StepImage)), nil },
			run: func(ctx context.Context, got map[string]outputs.Output) (outputs.Output, error) {
				return s.image(ctx, is(StepImage), got[StepKernel], got[StepRootfs])
			},
		},
		StepExport: {run: func(ctx context.Context, got map[string]outputs.Output) (outputs.Output, error) {
			return exporter{s}.export(ctx, is(StepExport), got[StepImage], got[StepKernel])
		}},
		stepTools: {run: func(ctx context.Context, _ map[string]outputs.Output) (outputs.Output, error) {
			return p.tools(ctx, is(stepTools))
		}},
		StepProve: {mayFail: s.opt.Unproven && s.Wants(StepPublish), todo: p.todo, run: p.run},
		StepPublish: {run: func(ctx context.Context, _ map[string]outputs.Output) (outputs.Output, error) {
			return outputs.Output{}, s.Publish(ctx, s.arts)
		}},
	}
	if plan.Strategy == target.VM {
		ofVM{s}.works(works, is)
	}
	return works
}

// simple runs a step that needs only its packages.
func (s *Session) simple(ctx context.Context, step Step, do func(context.Context, *family.Work, string) error) (outputs.Output, error) {
	return s.step(ctx, step, func(ctx context.Context, c *record.Clock, dir string) (any, error) {
		w, log, err := s.work(ctx, step.Name, c)
		if err != nil {
			return nil, err
		}
		defer log.Close()
		return struct{}{}, do(ctx, w, dir)
	})
}

// step runs a step that fills a folder. The step is skipped if its output is complete
// and there is signed evidence of its kind for the same key.
func (s *Session) step(ctx context.Context, step Step, fill func(ctx context.Context, c *record.Clock, dir string) (any, error)) (outputs.Output, error) {
	store, name, key := s.outputs(step), step.Name, step.Key
	leave, err := s.Making.Enter(ctx, store.Path(name, key))
	if err != nil {
		return outputs.Output{}, err
	}
	defer leave()
	if s.done(step) {
		if err := s.Restate(ctx, step.Evidence); err != nil {
			return outputs.Output{}, err
		}
		out, _ := store.Load(name, key)
		s.Skipped(name, "unchanged since build "+out.Build)
		return out, nil
	}
	if step.InGuest {
		if _, err := s.guest.get(ctx); err != nil { // recorded as the guest's failure
			return outputs.Output{}, err
		}
	}
	watch := record.NewClock()
	s.Emit(event.Event{Kind: event.StepStarted, Step: name, Msg: s.why(step)})
	if err := s.needSpace(ctx, step); err != nil {
		return outputs.Output{}, s.StepFailed(ctx, name, key, step.fails, err)
	}
	out, err := store.Make(name, key, s.Folder.ID, func(dir string) (any, error) { return fill(ctx, watch, dir) })
	if err != nil {
		return outputs.Output{}, s.StepFailed(ctx, name, key, step.fails, err)
	}
	s.Emit(watch.Stamp(event.Event{Kind: event.StepFinished, Step: name, Outcome: event.Passed}))
	return out, nil
}

// why returns the reason for which a step runs.
func (s *Session) why(step Step) string {
	switch {
	case s.rebuilds(step.Name):
		return "made again to compare"
	case s.forced(step.Name):
		return "asked for by --force"
	}
	if step.changed != nil {
		if out, ok := s.outputs(step).Load(step.Name, step.Key); ok && step.changed(out) {
			return "the VM has run since its disk was copied, or runs now"
		}
	}
	return s.Why(step.Evidence, step.Inputs)
}

// needSpace checks the free space in the home and, for a step in the guest, in the
// guest's work directory.
func (s *Session) needSpace(ctx context.Context, step Step) error {
	what := step.Name + " step"
	if err := home.NeedSpace(s.Home.Data, step.room, what); err != nil || !step.InGuest {
		return err
	}
	g, err := s.guest.get(ctx)
	if err != nil {
		return err
	}
	f, err := g.Facts(ctx)
	if err != nil {
		return cause.With("guest.unreachable", err)
	}
	if f.WorkFreeBytes < step.room {
		return &home.NoSpaceError{Path: "the work directory of guest " + g.Name(), What: what, Need: step.room, Free: f.WorkFreeBytes, Guest: true}
	}
	return nil
}

// done reports whether a step need not run.
func (s *Session) done(step Step) bool {
	out, ok := s.outputs(step).Load(step.Name, step.Key)
	if !ok || s.forced(step.Name) || !s.Evidenced(step.Evidence, step.Key) || step.stale(out, s.opt.Force) {
		return false
	}
	d, _ := s.Documents.Of(step.Evidence)
	return step.Evidence == "" || out.Holds(d.Subject().SHA256())
}

// outputs returns the store for a step's output in this build.
func (s *Session) outputs(step Step) outputs.Store {
	if s.rebuilds(step.Name) {
		return outputs.Store{Dir: s.scratch, Digests: s.Digests}
	}
	return s.Outputs(step.Evidence)
}

// Outputs returns the store of the outputs of steps with this kind of evidence. Outputs
// without evidence (the base root file system, the tools' disk) are a cache that all
// homes may share.
func (l *Line) Outputs(kind evidence.Kind) outputs.Store {
	dir := l.Home.Data
	if kind == "" {
		dir = l.Home.Cache
	}
	return outputs.Store{Dir: filepath.Join(dir, "outputs"), Digests: l.Digests}
}

// log opens a step's log file in the build's folder.
func (s *Session) log(step string) (io.WriteCloser, error) {
	p := s.Folder.LogPath(step + ".log")
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	f, err := os.OpenFile(p, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil || s.Logged == nil {
		return f, err
	}
	return logFile{f, s.Logged}, nil
}

// logFile calls Line.Logged after each write.
type logFile struct {
	*os.File
	grown func()
}

func (l logFile) Write(p []byte) (int, error) {
	n, err := l.File.Write(p)
	l.grown()
	return n, err
}

// work returns the family.Work with the step's log, which the caller closes.
func (s *Session) work(ctx context.Context, step string, c *record.Clock) (*family.Work, io.Closer, error) {
	g, err := s.guest.get(ctx)
	if err != nil {
		return nil, nil, err
	}
	log, err := s.log(step)
	if err != nil {
		return nil, nil, err
	}
	w := &family.Work{Guest: c.Guest(g), Recipe: s.Recipe.KernelRecipe(), Lock: s.Lock, Cache: guestCache(s, g.Name()), Log: log, Progress: s.Progress(step), Keep: s.opt.Keep,
		Input: func(p target.LockedPackage) (string, error) {
			if f := s.inputs[p.SHA256]; f != "" {
				return f, nil
			}
			return "", fmt.Errorf("package %s was not fetched", p.Name)
		}}
	return w, log, nil
}

// buildKernel compiles the kernel and returns its evidence for the output.
func (s *Session) buildKernel(ctx context.Context, c *record.Clock, in record.Inputs, frags []family.Fragment, dir string) (any, error) {
	w, log, err := s.work(ctx, StepKernel, c)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	k, err := s.Family.BuildKernel(ctx, w, in.Key(), frags, dir)
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for _, f := range family.KernelFiles {
		if sums[f], err = s.Digests.Of(filepath.Join(dir, f)); err != nil {
			return nil, err
		}
	}
	info, err := os.Stat(filepath.Join(dir, "vmlinuz"))
	if err != nil {
		return nil, err
	}
	doc := evidence.Kernel{Head: s.PassedFor(evidence.KindKernel, in), Release: k.Release, BuildID: k.BuildID, Config: sums["config"], Modules: sums["modules.tar"],
		Source: s.Lock.Kernel.Name + "=" + s.Lock.Kernel.Version, Compiler: k.Compiler, Size: info.Size()}
	_, err = s.Keep(ctx, evidence.Subject{Name: "vmlinuz-" + k.Release, Digest: map[string]string{"sha256": sums["vmlinuz"]}}, doc.Head, doc)
	return k, err
}

// image writes root file system and kernel to a disk.
func (s *Session) image(ctx context.Context, step Step, kernel, rootfs outputs.Output) (outputs.Output, error) {
	var k family.Kernel
	if err := kernel.Decode(&k); err != nil {
		return outputs.Output{}, err
	}
	tar := fromTree(s.Recipe)
	return s.step(ctx, step, func(ctx context.Context, c *record.Clock, dir string) (any, error) {
		w, log, err := s.work(ctx, StepImage, c)
		if err != nil {
			return nil, err
		}
		defer log.Close()
		var sum string
		disk, err := s.Family.BuildDisk(ctx, w, step.Key, family.DiskInputs{Rootfs: rootfs.File("rootfs.tar"), Vmlinuz: kernel.File("vmlinuz"),
			Config: kernel.File("config"), Modules: kernel.File("modules.tar"), Release: k.Release, RootTar: tar,
			Whole: func(file string) (err error) { sum, err = s.Digests.Of(file); return err }}, dir)
		if err != nil {
			return nil, err
		}
		doc := evidence.Image{Head: s.PassedFor(evidence.KindImage, step.Inputs), KernelRelease: k.Release, KernelBuildID: k.BuildID, Size: disk.Size, RootUUID: disk.RootPartUUID}
		for _, p := range s.Lock.Rootfs {
			doc.Packages = append(doc.Packages, p.Name+"="+p.Version+":"+p.Arch)
		}
		_, err = s.Keep(ctx, evidence.Subject{Name: "disk.raw", Digest: map[string]string{"sha256": sum}}, doc.Head, doc)
		return disk, err
	})
}

// fromTree reports whether the recipe has a format that is made from the tar of its
// tree.
func fromTree(r target.Recipe) bool {
	return slices.ContainsFunc(r.Export.Formats, func(name string) bool {
		f, err := disk.FormatNamed(name)
		return err == nil && f.WriteTree != nil
	})
}
