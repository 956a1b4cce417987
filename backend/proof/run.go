package proof

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"ingot/backend/cause"
	"ingot/backend/evidence"
)

// run is one boot in progress.
type run struct {
	spec       Spec
	machine    Machine
	boot       *booted
	proof      *evidence.Proof
	account    account
	started    time.Time
	serialFile string
	screenshot string

	script    *transcript
	consumed  int // lines of the transcript already looked at
	next      int // index of the phase that is to come
	reached   time.Time
	linesThen int                 // lines when the last phase was reached
	banners   map[string][]string // the lines that fitted each banner
}

// errStopped says that the boot's verdict is settled.
var errStopped = errors.New("the boot is settled")

// watch follows the boot to its end and sets the verdict. A boot whose log could
// not be written has none: others could not see what was seen here.
func (r *run) watch(ctx context.Context, seeded bool) error {
	r.reached, r.banners = r.started, map[string][]string{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.script.follow(r.machine.Console())
	}()
	err := r.judge(ctx, seeded)
	select {
	case <-r.machine.Done(): // and its last words are on their way
		select {
		case <-done:
		case <-time.After(lastWords):
		}
	default:
	}
	r.machine.Kill() // ends the console, and with it the follower
	<-done
	if err == nil {
		err = r.script.failed()
	}
	return err
}

// lastWords is how long the console of a machine that has ended is read.
const lastWords = 2 * time.Second

// judge takes the boot through its phases and sets the verdict.
func (r *run) judge(ctx context.Context, seeded bool) error {
	err := r.toPrompt(ctx)
	if err == nil && seeded {
		err = r.answer(ctx)
	}
	r.takeScreenshot(ctx)
	switch {
	case err == nil:
		r.boot.Verdict = evidence.Passed
		return nil
	case errors.Is(err, errStopped):
		return nil
	}
	return err
}

// toPrompt waits through the phases up to the login prompt.
func (r *run) toPrompt(ctx context.Context) error {
	all, err := phases()
	if err != nil {
		return err
	}
	for r.next < len(all) {
		if err := r.await(ctx, all[r.next].Name, func() bool { return r.advance(all) }); err != nil {
			return err
		}
	}
	return nil
}

// quiet is how often rules are tried while the console speaks; they read the
// whole text.
const quiet = 500 * time.Millisecond

// await waits until ok, called after every news of the console, is true; or
// until the boot is settled as failed: deadline, fatal line, loop, end.
func (r *run) await(ctx context.Context, name string, ok func() bool) error {
	limit := time.NewTimer(time.Until(r.reached.Add(deadline(r.spec.Recipe.Deadlines, name))))
	defer limit.Stop()
	rules := time.NewTicker(quiet)
	defer rules.Stop()
	news := true
	for {
		if err := r.script.failed(); err != nil {
			return err
		}
		if ok() {
			return nil
		}
		if banner, loop := r.looping(); loop {
			return r.settleBy(r.reasons(name, false), "boot.loop", banner, "the machine started over: "+banner)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.script.changed:
			news = true
		case <-rules.C:
			if !news {
				continue
			}
			news = false
			if f, found := r.spec.Pack.FindFatal(r.script.text()); found {
				return r.settle(f.ID, f.Line, f.Line)
			}
		case <-r.machine.Done():
			if ok() {
				return nil
			}
			return r.ended(name)
		case <-limit.C:
			return r.late(name)
		}
	}
}

// advance looks at new lines and moves the clock; true when the phase awaited,
// or a later one, was reached.
func (r *run) advance(all []phase) bool {
	lines, partial := r.script.since(r.consumed)
	before := r.next
	for _, l := range lines {
		r.consumed++
		r.see(all, l)
	}
	if partial != "" {
		r.mark(all, partial)
	}
	return r.next > before
}

func (r *run) see(all []phase, line string) {
	for _, p := range all {
		for _, b := range p.banner {
			if b.MatchString(line) {
				r.banners[b.String()] = append(r.banners[b.String()], line)
			}
		}
	}
	r.mark(all, line)
}

// mark records the furthest phase that the line means.
func (r *run) mark(all []phase, line string) {
	for i := len(all) - 1; i >= r.next; i-- {
		// a prompt's shape counts only once the system is up: a loader may ask for a login too
		if all[i].Name == "login" && i > r.next {
			continue
		}
		if anyMatch(all[i].match, line) {
			now := time.Now()
			r.boot.Phases = append(r.boot.Phases, evidence.Phase{Name: all[i].Name, Seconds: seconds(now.Sub(r.started)), Line: clip(line)})
			r.spec.notify("%s boot: %s at %.0f s", r.boot.Name, all[i].Name, now.Sub(r.started).Seconds())
			r.next, r.reached, r.linesThen = i+1, now, r.consumed
			return
		}
	}
}

func (r *run) looping() (string, bool) {
	for _, lines := range r.banners {
		if len(lines) > 1 {
			return clip(lines[1]), true
		}
	}
	return "", false
}

// reasons are the rules that may say why the awaited phase did not come. Those
// that are not fatal tell of something missing: they explain a phase that is
// late, and a loop or an end before the kernel spoke (a loader with nothing to
// load starts the machine over), but not what went wrong in a running system.
func (r *run) reasons(awaited string, late bool) func(text string) (cause.Finding, bool) {
	running := awaited == "init" || awaited == "login"
	if awaited == answerPhase || running && !late {
		return r.spec.Pack.FindFatal
	}
	return func(text string) (cause.Finding, bool) { return r.spec.Pack.Find(cause.Serial, text) }
}

// settleBy records a failure under the cause that the log tells, if the rules
// find one there, else under id: a loop, an end or a phase that does not come
// has a reason of its own.
func (r *run) settleBy(rules func(text string) (cause.Finding, bool), id, line, message string) error {
	if f, ok := rules(r.script.text()); ok {
		id, line, message = f.ID, f.Line, f.Line
	}
	return r.settle(id, line, message)
}

// settle records a failure and stops the boot. What was seen for certain, such
// as another kernel or a failed check, keeps its cause whatever the log holds.
func (r *run) settle(id, line, message string) error {
	r.boot.Verdict, r.boot.Cause, r.boot.Line, r.boot.message = evidence.Failed, id, clip(line), message
	return errStopped
}

// ended settles a boot whose machine went away.
func (r *run) ended(awaited string) error {
	stderr := r.machine.Stderr()
	if f, ok := r.spec.Pack.Find(cause.Stderr, stderr); ok {
		return r.settle(f.ID, f.Line, "QEMU ended: "+f.Line)
	}
	return r.settleBy(r.reasons(awaited, false), "boot.ended", lastLine(r.script.text()), "the machine ended: "+lastLine(r.script.text()))
}

// late settles a boot whose next phase did not come in time.
func (r *run) late(name string) error {
	lines, _ := r.script.since(0)
	silent := len(lines) <= r.linesThen || name == "kernel" && r.onlyStub(lines)
	last := lastLine(r.script.text())
	id := missing(name, silent)
	message := fmt.Sprintf("%s did not come within %s; the last line is %q", name, deadline(r.spec.Recipe.Deadlines, name), last)
	return r.settleBy(r.reasons(name, true), id, last, message)
}

// onlyStub tells that since the loader only the EFI stub spoke.
func (r *run) onlyStub(lines []string) bool {
	return len(lines) > 0 && len(lines[len(lines)-1]) > 9 && lines[len(lines)-1][:9] == "EFI stub:"
}

func (r *run) takeScreenshot(ctx context.Context) {
	select {
	case <-r.machine.Done():
		return
	default:
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	file := filepath.Join(filepath.Dir(r.serialFile), "screen-"+r.boot.Name+time.Now().UTC().Format("-150405.000")+".png")
	if err := r.machine.Screendump(ctx, file); err == nil { // a picture is welcome, and proves nothing
		r.screenshot = file
	}
}

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// clip keeps evidence small when a guest writes without line ends.
func clip(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}
