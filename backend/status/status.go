// Package status reads an open home for display: the rows of the reality table,
// builds with their logs, artifacts, recipes, and the causes in a log. It
// changes nothing but the digest cache, except Export, which writes a file, and
// Fork, which writes a recipe.
package status

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ingot/backend"
	"ingot/backend/build"
	"ingot/backend/build/record"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/qemu"
	"ingot/backend/reality"
	"ingot/backend/target"
)

// Rows derives the rows of the named targets, or of all targets.
func Rows(ctx context.Context, b *backend.Backend, names ...string) ([]reality.Row, error) {
	if len(names) == 0 {
		names = b.Targets.Names()
	}
	rows := make([]reality.Row, len(names))
	d := openDerived(b.Home)
	defer d.save()
	proofs := fileProofs(ctx, b)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for i, n := range names {
		if _, err := b.Targets.Get(n); target.IsUnknown(err) {
			return nil, errors.Join(err, g.Wait())
		}
		g.Go(func() error {
			f, err := facts(ctx, b, n, d, proofs)
			rows[i] = reality.Derive(n, f)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return rows, b.Digests.Save()
}

// Facts collects the facts that a target's row is derived from.
func Facts(ctx context.Context, b *backend.Backend, name string) (reality.Facts, error) {
	d := openDerived(b.Home)
	defer d.save()
	return facts(ctx, b, name, d, fileProofs(ctx, b))
}

// FileProofs are the proofs of files that no build of this home made, oldest first.
func FileProofs(ctx context.Context, b *backend.Backend) ([]evidence.Document, error) {
	return fileProofs(ctx, b)()
}

// fileProofs returns a function that reads the proofs of files that are not from a build
// here, the first time that it is called.
func fileProofs(ctx context.Context, b *backend.Backend) func() ([]evidence.Document, error) {
	return sync.OnceValues(func() ([]evidence.Document, error) {
		h, err := b.Ledger.History(ctx, record.FilesTarget, b.Keys)
		if err != nil {
			return nil, err
		}
		return h.OfKind(ctx, evidence.KindProof)
	})
}

func facts(ctx context.Context, b *backend.Backend, name string, d *derived, fileProofs func() ([]evidence.Document, error)) (reality.Facts, error) {
	f := reality.Facts{Files: map[string]reality.File{}, Now: time.Now()}
	f.Current, f.Title = cachedInputs(b, name, d)
	past, err := b.Ledger.History(ctx, name, b.Keys)
	if err != nil {
		return f, err
	}
	if f.Evidence, err = past.Newest(ctx); err != nil {
		return f, err
	}
	for _, bd := range slices.Backward(past.Builds) { // only one build of a target runs at a time, and waiting ones have no journal
		events, err := bd.Journal()
		if err != nil {
			b.Log.Warn("journal", "build", bd.ID, "err", err) // the row is derived without the journal
		}
		if len(events) > 0 {
			f.Journals = []reality.Journal{{Build: bd.ID, Live: event.Live(events), Events: events}}
			break
		}
	}
	addFiles(b, &f)
	if len(f.Files) > 0 { // without an artifact no row lists machines
		if f.FileProofs, err = fileProofs(); err != nil {
			return f, err
		}
	}
	if r, err := b.Targets.Get(name); err == nil {
		if h, err := qemu.FindHostBy(ctx, r.Arch, r.Board().Firmware, b.Digests.Of); err == nil {
			f.Host = reality.Host{QEMU: h.Version, Firmware: h.FirmwareDigest}
		}
	}
	return f, nil
}

// addFiles adds the digests of the artifacts that the evidence names.
func addFiles(b *backend.Backend, f *reality.Facts) {
	for _, d := range f.Evidence {
		var a evidence.Artifact
		if d.Head.Kind != evidence.KindArtifact || d.Trust != evidence.Signed || d.Decode(&a) != nil || !filepath.IsLocal(filepath.FromSlash(a.File)) {
			continue
		}
		sum, err := b.Digests.Of(filepath.Join(b.Home.Data, filepath.FromSlash(a.File)))
		f.Files[a.File] = reality.File{SHA256: sum, Missing: errors.Is(err, fs.ErrNotExist)}
	}
}

// cachedInputs returns currentInputs, computed once for the same texts.
func cachedInputs(b *backend.Backend, name string, d *derived) (reality.Inputs, string) {
	key, err := derivedKey(b, name)
	if err != nil { // currentInputs reports it
		return currentInputs(b, name)
	}
	r, err := b.Targets.Get(name)
	if err != nil {
		return currentInputs(b, name)
	}
	return d.of(key, func() reality.Inputs { in, _ := currentInputs(b, name); return in }), r.Title
}

// currentInputs returns what a build of the target would use now.
func currentInputs(b *backend.Backend, name string) (reality.Inputs, string) {
	r, err := b.Targets.Get(name)
	if err != nil {
		return reality.Inputs{ErrCause: "config.invalid", ErrMessage: err.Error()}, ""
	}
	if err := r.Buildable(); err != nil {
		return reality.Inputs{ErrCause: cause.IDOf(err), ErrMessage: err.Error()}, r.Title
	}
	lock, digest, err := b.Targets.LockOf(r)
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
	var k build.Keys
	frags, err := build.Fragments(b.Targets, r)
	if err == nil {
		k, err = build.KeysOf(r, lock, frags)
	}
	if err != nil {
		return reality.Inputs{ErrCause: cause.Of(err), ErrMessage: err.Error()}, r.Title
	}
	return reality.Inputs{Recipe: r.Digest(), Lock: digest, KernelKey: k.Kernel.Key(), ImageKey: k.Image.Key()}, r.Title
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
func Builds(b *backend.Backend, name string) ([]BuildInfo, error) {
	builds, err := b.Ledger.Builds(name)
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
