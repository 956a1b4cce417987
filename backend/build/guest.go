package build

import (
	"context"
	"errors"
	"time"

	"ingot/backend/build/record"
	"ingot/backend/build/recovery"
	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/guest"
)

// openGuest opens the guest, reads its facts, and records them.
func (s *Session) openGuest(ctx context.Context) error {
	g, err := s.Guest(ctx)
	if cause.ClassOf(err) == cause.Input { // an unknown guest name is a mistake in the command, not a failure of the guest
		return err
	}
	if err != nil {
		return s.StepFailed(ctx, StepGuest, record.Key("guest"), evidence.KindGuest, err)
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
		return errors.Join(s.StepFailed(ctx, StepGuest, record.Key("guest", g.Name()), evidence.KindGuest, err), g.Close())
	}
	s.guest = g
	doc := evidence.Guest{Name: g.Name(), OS: facts.OS, Arch: facts.Arch, Kernel: facts.Kernel, Distro: facts.DistroID + " " + facts.DistroVersion, CPUs: facts.CPUs, Memory: int64(facts.MemBytes)}
	k := record.Key("guest/1", doc)
	if s.Evidenced(evidence.KindGuest, k) {
		return s.Restate(ctx, evidence.KindGuest)
	}
	doc.Head = s.Passed(evidence.KindGuest, k)
	_, err = s.Keep(ctx, evidence.Subject{Name: g.Name(), Digest: map[string]string{"sha256": k}}, doc.Head, doc)
	return err
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
	missing, err := s.Family.MissingTools(ctx, g, f, s.Recipe)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return &MissingToolsError{Guest: g.Name(), Tools: missing}
	}
	return nil
}

// guestCache returns the compiler cache's folder in the guest.
func (s *Session) guestCache() string {
	if s.scratch != "" {
		return ""
	}
	if s.guest.Name() == "local" {
		return s.Home.Cache
	}
	for _, g := range s.Config.Guests {
		if s.guest.Name() == g.Kind+":"+g.Name && g.CacheDir != "" {
			return g.CacheDir
		}
	}
	return "/var/tmp/ingot-cache"
}
