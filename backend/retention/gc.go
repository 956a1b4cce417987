// Package retention decides what is kept in a home: garbage collection with
// pins, verification of the whole ledger, and removal of the home.
package retention

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ingot/backend"
	"ingot/backend/build"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/home"
	"ingot/backend/limit"
	"ingot/backend/reality"
	"ingot/backend/status"
)

// keepBuilds is the number of a target's newest builds that are never
// collected.
const keepBuilds = 20

// Garbage is a file or folder that a collection removes.
type Garbage struct {
	Path      string `json:"path"`
	Why       string `json:"why"`
	Apparent  int64  `json:"apparent"`  // sum of the file sizes, in bytes
	Allocated int64  `json:"allocated"` // bytes on disk, without holes

	build evidence.Build // whose folder it is; zero for other garbage
}

// Collection is the plan of a garbage collection.
type Collection struct {
	Remove []Garbage `json:"remove"`
	Kept   int       `json:"kept"` // number of outputs and builds that are kept
}

// Allocated returns the number of bytes on disk that the removal frees.
func (c Collection) Allocated() (sum int64) {
	for _, g := range c.Remove {
		sum += g.Allocated
	}
	return sum
}

// needed is what a collection keeps.
type needed struct {
	digests map[string]bool // SHA-256 of files that a cell, a proof or a receipt is about
	builds  map[string]bool // target/id
	keys    map[string]bool // output folders that a build would use now
	Inputs  map[string]bool // locked packages
}

// Plan lists what is not needed by any cell, receipt, proof of a target's last
// booted image, pin or lock. It changes nothing.
func Plan(ctx context.Context, b *backend.Backend) (Collection, error) {
	n := needed{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	plan := Collection{Remove: []Garbage{}}
	names, err := b.Ledger.Targets()
	if err != nil {
		return plan, err
	}
	for _, name := range names {
		if err := needs(ctx, b, name, &n); err != nil {
			return plan, err
		}
	}
	for _, name := range b.Targets.Names() {
		needsNow(b, name, &n)
	}
	pins, err := Pins(b)
	if err != nil {
		return plan, err
	}
	for _, p := range pins {
		n.builds[p] = true
	}
	if err := planOutputs(b, &plan, n); err != nil {
		return plan, err
	}
	for _, name := range names {
		if err := planBuilds(ctx, b, &plan, name, n); err != nil {
			return plan, err
		}
	}
	return plan, planCache(b, &plan, n)
}

// needs adds what the target's cells and receipts, and the proof of its last
// booted image, are about. Documents that cannot be trusted are kept, so that
// they can be examined.
func needs(ctx context.Context, b *backend.Backend, name string, n *needed) error {
	past, err := b.Ledger.History(ctx, name, b.Keys)
	if err != nil {
		return err
	}
	for i, bd := range past.Builds {
		if i >= len(past.Builds)-keepBuilds {
			n.builds[name+"/"+bd.ID] = true
		}
	}
	f, err := status.Facts(ctx, b, name)
	if err != nil {
		return err
	}
	n.cells(name, reality.Derive(name, f), f.Evidence)
	proven := false
	for _, bd := range slices.Backward(past.Builds) {
		docs, err := past.Of(ctx, bd)
		if err != nil {
			return err
		}
		for _, d := range slices.Backward(docs) {
			passed := d.Trust == evidence.Signed && d.Head.Verdict == evidence.Passed
			switch {
			case d.Head.Kind == evidence.KindReceipt && passed,
				d.Head.Kind == evidence.KindProof && passed && !proven,
				d.Unbelievable() && !d.Incomplete():
				proven = proven || d.Head.Kind == evidence.KindProof && passed
				n.document(name, d)
			}
		}
	}
	return nil
}

// cells adds the documents that a row's cells show, and those of the images
// that its artifacts were exported from.
func (n *needed) cells(name string, row reality.Row, docs []evidence.Document) {
	shown := map[string]bool{}
	for _, c := range row.Cells() {
		shown[c.Cell.Evidence] = true
	}
	for _, d := range slices.Backward(docs) {
		if d.Head.Kind == evidence.KindArtifact && d.Trust == evidence.Signed {
			shown[d.ID] = true // the boots and published cells are about it, even if the exported cell shows another
			break
		}
	}
	images := map[string]bool{}
	for _, d := range docs {
		var a evidence.Artifact
		if shown[d.ID] && d.Head.Kind == evidence.KindArtifact && d.Decode(&a) == nil {
			images[a.ImageDigest] = true
		}
	}
	for _, d := range docs {
		if shown[d.ID] || d.Head.Kind == evidence.KindImage && len(d.Statement.Subject) > 0 && images[d.Subject().SHA256()] {
			n.document(name, d)
		}
	}
}

func (n *needed) document(name string, d evidence.Document) {
	n.builds[name+"/"+d.Head.Build] = true
	for _, s := range d.Statement.Subject {
		n.digests[s.SHA256()] = true
	}
	var a evidence.Artifact
	if d.Head.Kind == evidence.KindArtifact && d.Decode(&a) == nil {
		n.digests[a.ImageDigest] = true
	}
}

// needsNow adds the outputs and inputs that a build would use now.
func needsNow(b *backend.Backend, name string, n *needed) {
	r, err := b.Targets.Get(name)
	if err != nil {
		return
	}
	lock, err := b.Targets.Lock(r)
	if err != nil {
		return
	}
	for _, p := range append(append(slices.Clone(lock.Rootfs), lock.Smoke...), lock.Kernel) {
		n.Inputs[p.SHA256] = true
	}
	frags, err := build.Fragments(b.Targets, r)
	if err != nil {
		return
	}
	k, err := build.KeysOf(r, lock, frags)
	if err != nil {
		return
	}
	for step, key := range map[string]string{"kernel": k.Kernel.Key(), "rootfs": k.Rootfs.Key(), "tools": k.Tools.Key(), "image": k.Image.Key()} {
		n.keys[step+"-"+key[:16]] = true
	}
}

// planOutputs adds output folders of steps to the plan.
func planOutputs(b *backend.Backend, plan *Collection, n needed) error {
	dirs, err := filepath.Glob(filepath.Join(b.Home.Data, "outputs", "*-*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		var rec struct {
			Build string
			Files map[string]string
		}
		data, err := limit.ReadFile(filepath.Join(dir, "done.json"), limit.Journal)
		if errors.Is(err, fs.ErrNotExist) || err == nil && json.Unmarshal(data, &rec) != nil {
			plan.add(dir, "unfinished output")
			continue
		}
		if err != nil {
			return err
		}
		if n.keys[filepath.Base(dir)] || n.holds(rec.Files) || n.pinned(rec.Build) {
			plan.Kept++
			continue
		}
		plan.add(dir, "not needed by any cell, proof, receipt or recipe")
	}
	return nil
}

func (n needed) holds(files map[string]string) bool {
	for _, sum := range files {
		if n.digests[sum] {
			return true
		}
	}
	return false
}

// pinned reports whether a build with the id, of any target, is pinned.
func (n needed) pinned(id string) bool {
	for name := range n.builds {
		if strings.HasSuffix(name, "/"+id) {
			return true
		}
	}
	return false
}

// planBuilds adds a target's older builds to the plan.
func planBuilds(ctx context.Context, b *backend.Backend, plan *Collection, name string, n needed) error {
	leftovers, err := b.Ledger.Leftovers(ctx, name)
	if err != nil {
		return err
	}
	for _, bd := range leftovers {
		plan.add(bd.Dir, "left by a collection that was interrupted")
	}
	builds, err := b.Ledger.Builds(name)
	if err != nil {
		return err
	}
	for _, bd := range builds {
		if n.builds[name+"/"+bd.ID] {
			plan.Kept++
			continue
		}
		plan.add(bd.Dir, fmt.Sprintf("older than the newest %d builds, and not needed by any cell, proof or receipt", keepBuilds))
		plan.Remove[len(plan.Remove)-1].build = bd
	}
	return nil
}

func (c *Collection) add(path, why string) {
	g := Garbage{Path: path, Why: why}
	g.Apparent, g.Allocated = home.Usage(path)
	c.Remove = append(c.Remove, g)
}

// Collect plans again under the home's lock, and removes what the plan lists.
func Collect(ctx context.Context, b *backend.Backend) (Collection, error) {
	lock, err := b.Lock(ctx, home.LockOptions{Purpose: "gc"})
	if err != nil {
		return Collection{}, err
	}
	plan, err := Plan(ctx, b)
	if err == nil {
		err = forget(ctx, b, plan)
	}
	if err == nil {
		for _, g := range plan.Remove {
			err = errors.Join(err, os.RemoveAll(g.Path))
		}
	}
	return plan, errors.Join(err, lock.Unlock())
}

// forget replaces the builds of the plan by tombstones in their ledgers, so that
// their documents are not missing once they are removed.
func forget(ctx context.Context, b *backend.Backend, plan Collection) error {
	byTarget := map[string][]string{}
	for _, g := range plan.Remove {
		if g.build.ID != "" {
			byTarget[g.build.Target] = append(byTarget[g.build.Target], g.build.ID)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byTarget)) {
		if err := b.Ledger.Forget(ctx, b.Author(), name, byTarget[name], "gc"); err != nil {
			return err
		}
	}
	return nil
}

// pinFile returns the path of the list of pinned builds: one target/id per
// line.
func pinFile(b *backend.Backend) string { return filepath.Join(b.Home.Data, "pins") }

// Pins lists the pinned builds as target/id.
func Pins(b *backend.Backend) ([]string, error) {
	data, err := limit.ReadFile(pinFile(b), limit.Journal)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Fields(string(data)), err
}

// pinnable is the newest build of a target that passed, or with pin false that is
// pinned.
func pinnable(b *backend.Backend, name string, pin bool) (evidence.Build, error) {
	builds, err := b.Ledger.Builds(name)
	if err != nil {
		return evidence.Build{}, err
	}
	pins, err := Pins(b)
	if err != nil {
		return evidence.Build{}, err
	}
	for _, bd := range slices.Backward(builds) {
		if !pin {
			if slices.Contains(pins, bd.Target+"/"+bd.ID) {
				return bd, nil
			}
			continue
		}
		events, err := bd.Journal()
		if err != nil {
			return bd, err
		}
		if n := len(events); n > 0 && events[n-1].Kind == event.BuildFinished && events[n-1].Outcome == event.Passed {
			return bd, nil
		}
	}
	if !pin {
		return evidence.Build{}, &backend.NothingToDoError{Msg: fmt.Sprintf("no build of %s is pinned", name)}
	}
	return evidence.Build{}, &backend.NothingToDoError{Msg: fmt.Sprintf("no build of %s has passed: name the one to keep, `ingot pin %s BUILD`", name, name)}
}

// Pin protects a build and its outputs from collections, or with pin false ends
// the protection. id "" is the newest build that passed, or, to end the protection,
// the newest one that has it.
func Pin(b *backend.Backend, name, id string, pin bool) error {
	bd, err := status.FindBuild(b, name, id)
	if err == nil && id == "" {
		bd, err = pinnable(b, name, pin)
	}
	if err != nil {
		return err
	}
	pins, err := Pins(b)
	if err != nil {
		return err
	}
	entry := bd.Target + "/" + bd.ID
	pins = slices.DeleteFunc(pins, func(p string) bool { return p == entry })
	if pin {
		pins = append(pins, entry)
	}
	slices.Sort(pins)
	return home.WriteFileAtomic(pinFile(b), []byte(strings.Join(pins, "\n")+"\n"), 0o600)
}
