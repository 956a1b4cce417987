package backend

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"ingot/backend/build"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/qemu"
	"ingot/backend/reality"
	"ingot/backend/target"
)

// Status folds the row of every target, or of the named ones.
func (b *Backend) Status(ctx context.Context, names ...string) ([]reality.Row, error) {
	if len(names) == 0 {
		names = b.targets.Names()
	}
	rows := make([]reality.Row, len(names))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for i, n := range names {
		if _, err := b.targets.Get(n); isUnknown(err) {
			return nil, errors.Join(err, g.Wait())
		}
		g.Go(func() error {
			f, err := b.facts(ctx, n)
			rows[i] = reality.Derive(n, f)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return rows, b.digests.Save()
}

func isUnknown(err error) bool {
	var unknown *target.UnknownError
	return errors.As(err, &unknown)
}

// facts gathers what a row is made of.
func (b *Backend) facts(ctx context.Context, name string) (reality.Facts, error) {
	f := reality.Facts{Files: map[string]reality.File{}}
	f.Current, f.Title = b.current(name)
	builds, err := b.ledger.Builds(name)
	if err != nil {
		return f, err
	}
	if f.Evidence, err = evidence.NewestOf(ctx, builds, b.Keys()); err != nil {
		return f, err
	}
	for _, bd := range slices.Backward(builds) { // one build of a target runs at a time; those that wait have no journal
		events, err := bd.Journal()
		if err != nil {
			b.log.Warn("journal", "build", bd.ID, "err", err) // a journal tells of work, it proves nothing
		}
		if len(events) > 0 {
			f.Journals = []reality.Journal{{Build: bd.ID, Live: event.Live(events), Events: events}}
			break
		}
	}
	b.addFiles(&f)
	if r, err := b.targets.Get(name); err == nil {
		if h, err := qemu.FindHost(ctx, r.Arch); err == nil {
			f.Host = reality.Host{QEMU: h.Version, Firmware: h.FirmwareDigest}
		}
	}
	return f, nil
}

// addFiles takes the digests of the artifacts that the evidence names.
func (b *Backend) addFiles(f *reality.Facts) {
	for _, d := range f.Evidence {
		var a evidence.Artifact
		if d.Head.Kind != evidence.KindArtifact || d.Trust != evidence.Signed || d.Decode(&a) != nil || !filepath.IsLocal(filepath.FromSlash(a.File)) {
			continue
		}
		sum, err := b.digests.Of(filepath.Join(b.Home.Data, filepath.FromSlash(a.File)))
		f.Files[a.File] = reality.File{SHA256: sum, Missing: errors.Is(err, fs.ErrNotExist)}
	}
}

// current computes what a build of the target would use now.
func (b *Backend) current(name string) (reality.Inputs, string) {
	r, err := b.targets.Get(name)
	if err != nil {
		return reality.Inputs{ErrCause: "config.invalid", ErrMessage: err.Error()}, ""
	}
	lock, digest, err := b.targets.LockOf(r)
	if err == nil {
		err = lock.Check(r)
	}
	if err != nil {
		id := "config.invalid"
		var stale *target.StaleLockError
		if errors.As(err, &stale) {
			id = "config.lock-stale"
		}
		return reality.Inputs{ErrCause: id, ErrMessage: err.Error()}, r.Title
	}
	frags, err := build.Fragments(b.targets, r)
	if err != nil {
		return reality.Inputs{ErrCause: cause.Of(err), ErrMessage: err.Error()}, r.Title
	}
	k := build.KeysOf(r, lock, frags)
	return reality.Inputs{Recipe: r.Digest(), Lock: digest, KernelKey: k.Kernel.Key(), ImageKey: k.Image.Key()}, r.Title
}

// Evidence looks a document up by id or the start of one.
func (b *Backend) Evidence(ctx context.Context, id string) (evidence.Document, error) {
	return b.ledger.Find(ctx, b.Keys(), id)
}

// BuildInfo is one build of a target in the ledger.
type BuildInfo struct {
	Target  string        `json:"target"`
	ID      string        `json:"id"`
	Started time.Time     `json:"started"`
	Live    bool          `json:"live"`
	Outcome event.Outcome `json:"outcome,omitempty"`
	Dir     string        `json:"dir"`
}

// Builds lists a target's builds, oldest first.
func (b *Backend) Builds(name string) ([]BuildInfo, error) {
	builds, err := b.ledger.Builds(name)
	if err != nil {
		return nil, err
	}
	var out []BuildInfo
	for _, bd := range builds {
		events, err := bd.Journal()
		if err != nil {
			return nil, err
		}
		info := BuildInfo{Target: name, ID: bd.ID, Dir: bd.Dir, Live: event.Live(events)}
		if len(events) > 0 {
			info.Started = events[0].At
			if last := events[len(events)-1]; last.Kind == event.BuildFinished {
				info.Outcome = last.Outcome
			}
		}
		out = append(out, info)
	}
	return out, nil
}

// Describe gives meaning and fix of a cause id.
func (b *Backend) Describe(id string) (cause.Finding, bool) { return b.pack.Describe(id) }

// Targets is the set of recipes.
func (b *Backend) Targets() *target.Set { return b.targets }
