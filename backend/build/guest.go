package build

import (
	"context"
	"errors"
	"sync"
	"time"

	"ingot/backend/build/record"
	"ingot/backend/build/recovery"
	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/guest"
)

// opened is the guest of a build, from the first step that needs it. It is safe for
// concurrent use.
type opened struct {
	mu    sync.Mutex
	guest guest.Guest // nil until then
	open  func(ctx context.Context) (guest.Guest, error)
}

// get returns the guest, and opens it before.
func (o *opened) get(ctx context.Context) (guest.Guest, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.guest != nil {
		return o.guest, nil
	}
	g, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	o.guest = g
	return g, nil
}

// close closes the guest, if there is one. No step runs in it any more.
func (o *opened) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.guest == nil {
		return nil
	}
	return o.guest.Close()
}

// openGuest opens the guest, reads its facts, and records them. A failure is recorded as
// that of the guest.
func (s *Session) openGuest(ctx context.Context) (guest.Guest, error) {
	g, err := s.Guest(ctx, func(what string) { s.Note(StepGuest, "%s", what) })
	if cause.ClassOf(err) == cause.Input { // an unknown guest name is a mistake in the command, not a failure of the guest
		return nil, err
	}
	if err != nil {
		return nil, s.StepFailed(ctx, StepGuest, record.Key("guest"), evidence.KindGuest, err)
	}
	g = guest.Swept(guest.Tracked(g, s.Children), func(err error) { s.Note(StepGuest, "the work directory was not removed: %v", err) })
	if err := recovery.Reclaim(ctx, s.Children, g); err != nil {
		s.Note(StepGuest, "left by a killed process: %v", err)
	}
	facts, err := g.Facts(ctx)
	if err == nil {
		err = guestReady(ctx, s, g, facts)
	}
	if err != nil {
		return nil, errors.Join(s.StepFailed(ctx, StepGuest, record.Key("guest", g.Name()), evidence.KindGuest, err), g.Close())
	}
	doc := evidence.Guest{Name: g.Name(), OS: facts.OS, Arch: facts.Arch, Kernel: facts.Kernel, Distro: facts.DistroID + " " + facts.DistroVersion, CPUs: facts.CPUs, Memory: int64(facts.MemBytes)}
	k := record.Key("guest/1", doc)
	if s.Evidenced(evidence.KindGuest, k) {
		err = s.Restate(ctx, evidence.KindGuest)
	} else {
		doc.Head = s.Passed(evidence.KindGuest, k)
		_, err = s.Keep(ctx, evidence.Subject{Name: g.Name(), Digest: map[string]string{"sha256": k}}, doc.Head, doc)
	}
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// clockSlack is the clock difference of a guest from which on the journal mentions it.
const clockSlack = time.Minute

// guestReady checks for the programs that the steps need. It reports a wrong clock, as
// in a VM after its computer slept: certificates and archives that the guest uses may
// then appear to have expired. The outputs do not depend on it.
func guestReady(ctx context.Context, s *Session, g guest.Guest, f guest.Facts) error {
	if f.ClockSkew.Abs() > clockSlack {
		s.Note(StepGuest, "the clock of guest %s differs by %s: restart the guest, or set its clock", g.Name(), f.ClockSkew)
	}
	missing, err := s.Family.MissingTools(ctx, g, f, s.Recipe.KernelRecipe())
	if err == nil && len(missing) > 0 && s.OwnGuest {
		if err = provide(ctx, s, g, missing); err == nil {
			missing, err = s.Family.MissingTools(ctx, g, f, s.Recipe.KernelRecipe())
		}
	}
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return &family.MissingToolsError{Guest: g.Name(), Tools: missing}
	}
	return nil
}

// provide installs in a guest of Ingot's own what it lacks. The output is in the log of
// the guest.
func provide(ctx context.Context, s *Session, g guest.Guest, missing []family.Tool) error {
	log, err := s.log(StepGuest)
	if err != nil {
		return err
	}
	defer log.Close()
	for _, command := range s.Family.InstallCommands(missing) {
		s.Note(StepGuest, "in %s: %s", g.Name(), command)
		if err := guest.Install(ctx, g, command, log); err != nil {
			return err
		}
	}
	return nil
}

// guestCache returns the compiler cache's folder in a guest.
func guestCache(s *Session, in string) string {
	if s.scratch != "" {
		return ""
	}
	if in == "local" {
		return s.Home.Cache
	}
	for _, g := range s.Config.Guests {
		if in == g.Kind+":"+g.Name && g.CacheDir != "" {
			return g.CacheDir
		}
	}
	return "/var/tmp/ingot-cache"
}
