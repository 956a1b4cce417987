package build

import (
	"context"
	"errors"
	"time"

	"ingot/backend/evidence"
	"ingot/backend/guest"
	"ingot/backend/image"
)

// openGuest opens the guest, looks at it, and records what it is.
func (r *run) openGuest(ctx context.Context) error {
	g, err := r.Guest(ctx)
	if err != nil {
		return r.stepFailed(ctx, StepGuest, key("guest"), evidence.KindGuest, err)
	}
	g = guest.Swept(guest.Tracked(g, r.Children), func(err error) { r.note(StepGuest, "the work directory stays: %v", err) })
	if err := r.reclaim(ctx, g); err != nil {
		r.note(StepGuest, "left by a killed process: %v", err)
	}
	facts, err := g.Facts(ctx)
	if err == nil {
		err = r.guestReady(ctx, g, facts)
	}
	if err != nil {
		return errors.Join(r.stepFailed(ctx, StepGuest, key("guest", g.Name()), evidence.KindGuest, err), g.Close())
	}
	r.guest = g
	doc := evidence.Guest{Name: g.Name(), OS: facts.OS, Arch: facts.Arch, Kernel: facts.Kernel, Distro: facts.DistroID + " " + facts.DistroVersion, CPUs: facts.CPUs, Memory: int64(facts.MemBytes)}
	k := key("guest/1", doc)
	if r.evidenced(evidence.KindGuest, k) {
		return r.restate(ctx, evidence.KindGuest)
	}
	doc.Head = r.passed(evidence.KindGuest, k)
	_, err = r.keep(ctx, evidence.Subject{Name: g.Name(), Digest: map[string]string{"sha256": k}}, doc.Head, doc)
	return err
}

// clockSlack is how far a guest's clock may be off before the journal says so.
const clockSlack = time.Minute

// guestReady looks for the programs that the steps need. A clock that is off,
// as a VM's is after its computer slept, is told: certificates and archives
// that the guest asks may then seem to have run out. What is built does not
// depend on it.
func (r *run) guestReady(ctx context.Context, g guest.Guest, f guest.Facts) error {
	if f.ClockSkew.Abs() > clockSlack {
		r.note(StepGuest, "the clock of guest %s is %s off: restart it, or set its clock", g.Name(), f.ClockSkew)
	}
	missing, err := image.MissingTools(ctx, g, f, r.recipe)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return &MissingToolsError{Guest: g.Name(), Tools: missing}
	}
	return nil
}

// guestCache is the compiler cache's folder in the guest.
func (r *run) guestCache() string {
	if r.scratch != "" {
		return ""
	}
	if r.guest.Name() == "local" {
		return r.Home.Cache
	}
	for _, g := range r.Config.Guests {
		if r.guest.Name() == g.Kind+":"+g.Name && g.CacheDir != "" {
			return g.CacheDir
		}
	}
	return "/var/tmp/ingot-cache"
}
