package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ingot/backend/build"
	"ingot/backend/evidence"
	"ingot/backend/home"
	"ingot/backend/reality"
)

// keepBuilds is how many of a target's newest builds a collection leaves alone.
const keepBuilds = 20

// Garbage is one thing that a collection removes.
type Garbage struct {
	Path      string `json:"path"`
	Why       string `json:"why"`
	Apparent  int64  `json:"apparent"`  // bytes of the files' sizes
	Allocated int64  `json:"allocated"` // bytes on disk: holes take none
}

// Collection is the plan of a garbage collection.
type Collection struct {
	Remove []Garbage `json:"remove"`
	Kept   int       `json:"kept"` // outputs and builds that stay
}

// Allocated is what the removal gives back.
func (c Collection) Allocated() (sum int64) {
	for _, g := range c.Remove {
		sum += g.Allocated
	}
	return sum
}

// needed is what a collection must not touch.
type needed struct {
	digests map[string]bool // SHA-256 of bytes that a cell, a proof or a receipt is about
	builds  map[string]bool // target/id
	keys    map[string]bool // output folders that a build of now would use
	inputs  map[string]bool // locked packages
}

// GCPlan lists what no cell, receipt, proof of a target's last booted image,
// pin or lock needs. It changes nothing.
func (b *Backend) GCPlan(ctx context.Context) (Collection, error) {
	n := needed{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	plan := Collection{Remove: []Garbage{}}
	names, err := b.ledger.Targets()
	if err != nil {
		return plan, err
	}
	for _, name := range names {
		if err := b.needs(ctx, name, &n); err != nil {
			return plan, err
		}
	}
	for _, name := range b.targets.Names() {
		b.needsNow(name, &n)
	}
	pins, err := b.Pins()
	if err != nil {
		return plan, err
	}
	for _, p := range pins {
		n.builds[p] = true
	}
	if err := b.planOutputs(&plan, n); err != nil {
		return plan, err
	}
	for _, name := range names {
		if err := b.planBuilds(&plan, name, n); err != nil {
			return plan, err
		}
	}
	return plan, b.planCache(&plan, n)
}

// needs gathers what the target's cells and receipts, and the proof of its last
// booted image, are about. What cannot be believed is kept: somebody may want
// to look at it.
func (b *Backend) needs(ctx context.Context, name string, n *needed) error {
	builds, err := b.ledger.Builds(name)
	if err != nil {
		return err
	}
	for i, bd := range builds {
		if i >= len(builds)-keepBuilds {
			n.builds[name+"/"+bd.ID] = true
		}
	}
	f, err := b.facts(ctx, name)
	if err != nil {
		return err
	}
	n.cells(name, reality.Derive(name, f), f.Evidence)
	proven := false
	for _, bd := range slices.Backward(builds) {
		docs, err := bd.Evidence(ctx, b.keys)
		if err != nil {
			return err
		}
		for _, d := range slices.Backward(docs) {
			passed := d.Trust == evidence.Signed && d.Head.Verdict == evidence.Passed
			switch {
			case d.Head.Kind == evidence.KindReceipt && passed,
				d.Head.Kind == evidence.KindProof && passed && !proven,
				d.Trust == evidence.Tampered || d.Trust == evidence.Foreign:
				proven = proven || d.Head.Kind == evidence.KindProof && passed
				n.document(name, d)
			}
		}
	}
	return nil
}

// cells takes the documents that a row's cells show, and those of the images
// that its artifacts were made of.
func (n *needed) cells(name string, row reality.Row, docs []evidence.Document) {
	shown := map[string]bool{}
	for _, c := range row.Cells() {
		shown[c.Cell.Evidence] = true
	}
	for _, d := range slices.Backward(docs) {
		if d.Head.Kind == evidence.KindArtifact && d.Trust == evidence.Signed {
			shown[d.ID] = true // BOOTS and PUBLISHED are about it, whatever EXPORTED shows
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

// needsNow gathers what a build of now would take from outputs and caches.
func (b *Backend) needsNow(name string, n *needed) {
	r, err := b.targets.Get(name)
	if err != nil {
		return
	}
	lock, err := b.targets.Lock(r)
	if err != nil {
		return
	}
	for _, p := range append(append(slices.Clone(lock.Rootfs), lock.Smoke...), lock.Kernel) {
		n.inputs[p.SHA256] = true
	}
	frags, err := build.Fragments(b.targets, r)
	if err != nil {
		return
	}
	k := build.KeysOf(r, lock, frags)
	for step, key := range map[string]string{"kernel": k.Kernel.Key(), "rootfs": k.Rootfs.Key(), "tools": k.Tools.Key(), "image": k.Image.Key()} {
		n.keys[step+"-"+key[:16]] = true
	}
}

// planOutputs looks at the folders of finished steps.
func (b *Backend) planOutputs(plan *Collection, n needed) error {
	dirs, err := filepath.Glob(filepath.Join(b.Home.Data, "outputs", "*-*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		var rec struct {
			Build string
			Files map[string]string
		}
		data, err := os.ReadFile(filepath.Join(dir, "done.json"))
		if errors.Is(err, fs.ErrNotExist) || err == nil && json.Unmarshal(data, &rec) != nil {
			plan.add(dir, "an output that was never finished")
			continue
		}
		if err != nil {
			return err
		}
		if n.keys[filepath.Base(dir)] || n.holds(rec.Files) || n.pinned(rec.Build) {
			plan.Kept++
			continue
		}
		plan.add(dir, "no cell, proof or receipt is about it, and no recipe would use it")
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

// pinned tells whether a build of any target by that id must stay.
func (n needed) pinned(id string) bool {
	for name := range n.builds {
		if strings.HasSuffix(name, "/"+id) {
			return true
		}
	}
	return false
}

// planBuilds looks at a target's older builds.
func (b *Backend) planBuilds(plan *Collection, name string, n needed) error {
	builds, err := b.ledger.Builds(name)
	if err != nil {
		return err
	}
	for _, bd := range builds {
		if n.builds[name+"/"+bd.ID] {
			plan.Kept++
			continue
		}
		plan.add(bd.Dir, fmt.Sprintf("older than the newest %d builds, and no cell, proof or receipt comes from it", keepBuilds))
	}
	return nil
}

// planCache looks at what can be made or fetched again.
func (b *Backend) planCache(plan *Collection, n needed) error {
	for pattern, want := range map[string]map[string]bool{"inputs/*": n.inputs, "outputs/*-*": n.keys} {
		found, err := filepath.Glob(filepath.Join(b.Home.Cache, filepath.FromSlash(pattern)))
		if err != nil {
			return err
		}
		for _, f := range found {
			if !want[filepath.Base(f)] {
				plan.add(f, "no lock names it any more")
			}
		}
	}
	return nil
}

func (c *Collection) add(path, why string) {
	g := Garbage{Path: path, Why: why}
	g.Apparent, g.Allocated = home.Usage(path)
	c.Remove = append(c.Remove, g)
}

// Collect makes a plan again under the home's lock and removes what it says.
func (b *Backend) Collect(ctx context.Context) (Collection, error) {
	lock, err := b.lock(ctx, home.LockOptions{Purpose: "gc"})
	if err != nil {
		return Collection{}, err
	}
	plan, err := b.GCPlan(ctx)
	if err == nil {
		for _, g := range plan.Remove {
			err = errors.Join(err, os.RemoveAll(g.Path))
		}
	}
	return plan, errors.Join(err, lock.Unlock())
}

// pinFile lists pinned builds, target/id, a line each.
func (b *Backend) pinFile() string { return filepath.Join(b.Home.Data, "pins") }

// Pins lists the builds that no collection removes, as target/id.
func (b *Backend) Pins() ([]string, error) {
	data, err := os.ReadFile(b.pinFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Fields(string(data)), err
}

// Pin keeps a build, with its outputs, from collections; unpin lets it go.
func (b *Backend) Pin(name, id string, pin bool) error {
	bd, err := b.findBuild(name, id)
	if err != nil {
		return err
	}
	pins, err := b.Pins()
	if err != nil {
		return err
	}
	entry := bd.Target + "/" + bd.ID
	pins = slices.DeleteFunc(pins, func(p string) bool { return p == entry })
	if pin {
		pins = append(pins, entry)
	}
	slices.Sort(pins)
	return home.WriteFileAtomic(b.pinFile(), []byte(strings.Join(pins, "\n")+"\n"), 0o600)
}
