package proof

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"ingot/backend/cause"
	"ingot/backend/dialogue"
	"ingot/backend/evidence"
	"ingot/backend/qemu"
)

// run is one boot in progress.
type run struct {
	spec       Spec
	machine    Machine
	boot       *booted
	proof      *evidence.Proof
	account    qemu.Account
	dialect    Dialect
	marks      marks
	started    time.Time
	serialFile string
	screenshot string

	dialogue  *dialogue.Dialogue
	followed  chan struct{} // closed when the console has been read to its end
	consumed  int           // lines of the transcript already examined
	next      int           // index of the next phase
	scanned   int           // lines already compared with the recipe's panics
	restarts  int           // reboots so far that the recipe announces
	reached   time.Time
	linesThen int                 // number of lines when the last phase was reached
	banners   map[string][]string // the lines that matched each banner
}

// errStopped reports that the boot's verdict is final.
var errStopped = errors.New("the boot has its verdict")

// watch follows the boot to its end and sets the verdict. A boot whose log could not be
// written has no verdict: its evidence could not be checked.
func (r *run) watch(ctx context.Context, seeded bool) error {
	r.reached, r.banners = r.started, map[string][]string{}
	r.followed = make(chan struct{})
	go func() {
		defer close(r.followed)
		r.dialogue.Follow()
	}()
	err := r.runPhases(ctx, seeded)
	select {
	case <-r.machine.Done():
		r.drainConsole()
	default:
	}
	r.machine.Kill() // ends the console, and with it the goroutine that follows it
	<-r.followed
	if err == nil {
		err = r.dialogue.Failed()
	}
	return err
}

// drainTimeout bounds the reading of the console of a machine that has exited.
const drainTimeout = 2 * time.Second

// drainConsole waits until the console of a machine that has exited is read to its end:
// the last lines may show the cause.
func (r *run) drainConsole() {
	select {
	case <-r.followed:
	case <-time.After(drainTimeout):
	}
}

// runPhases waits for the phases of the boot and sets the verdict.
func (r *run) runPhases(ctx context.Context, seeded bool) error {
	err := r.waitForPrompt(ctx)
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

// waitForPrompt waits for the phases up to the login prompt.
func (r *run) waitForPrompt(ctx context.Context) error {
	all := r.marks.phases
	for r.next < len(all) {
		if err := r.await(ctx, all[r.next].Name, func() bool { return r.advance(all) }); err != nil {
			return err
		}
	}
	return nil
}

// quiet is the interval between two searches of the whole text by the rules while
// output arrives.
const quiet = 500 * time.Millisecond

// await waits until ok returns true; it calls ok after each output. If the boot fails
// first (deadline, fatal line, loop, exit) it records the failure and returns
// errStopped.
func (r *run) await(ctx context.Context, name string, ok func() bool) error {
	within := r.deadline(name)
	limit := time.NewTimer(time.Until(r.reached.Add(within)))
	defer limit.Stop()
	rules := time.NewTicker(quiet)
	defer rules.Stop()
	news, newest := true, time.Now()
	for {
		if err := r.dialogue.Failed(); err != nil {
			return err
		}
		if ok() {
			return nil
		}
		if line := r.panicked(); line != "" {
			return r.failBy(r.spec.Pack.FindFatal, "kernel.panic", line, line)
		}
		if banner, loop := r.looping(); loop {
			return r.failBy(r.reasons(name, false), "boot.loop", banner, "the machine restarted: "+banner)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.dialogue.Changed():
			news, newest = true, time.Now()
		case <-rules.C:
			if line := r.stuck(newest); line != "" {
				return r.failBy(r.reasons(name, true), "boot.hang", line, fmt.Sprintf("no output follows %q", line))
			}
			if !news {
				continue
			}
			news = false
			if f, found := r.spec.Pack.FindFatal(r.dialogue.Text()); found {
				return r.fail(f.ID, f.Line, f.Line)
			}
		case <-r.machine.Done():
			r.drainConsole()
			if ok() {
				return nil
			}
			return r.ended(name)
		case <-limit.C:
			if name != "kernel" || !r.quietKernel() {
				return r.timedOut(name, within)
			}
			rest := r.deadline("init") + r.deadline("login")
			limit.Reset(rest)
			name, within = "login", within+rest
		}
	}
}

// advance examines new lines and updates the phases. It returns true if the awaited
// phase, or a later one, was reached.
func (r *run) advance(all []phase) bool {
	lines, partial := r.dialogue.Since(r.consumed)
	before, restarts := r.next, r.restarts
	for _, l := range lines {
		r.consumed++
		r.see(all, l)
	}
	if partial != "" {
		r.mark(all, partial)
	}
	return r.next != before || r.restarts != restarts
}

func (r *run) see(all []phase, line string) {
	for _, p := range all {
		for _, b := range p.banner {
			if b.MatchString(line) {
				r.banners[b.String()] = append(r.banners[b.String()], line)
				r.restarted(len(r.banners[b.String()])-1, line)
			}
		}
	}
	r.mark(all, line)
}

// waitingLogin matches a login prompt without output after it.
var waitingLogin = regexp.MustCompile(`^(\S+ )?login: ?$`)

// mark records the latest phase that the line indicates.
func (r *run) mark(all []phase, line string) {
	i, ok := indicated(all, r.next, line)
	if !ok {
		return
	}
	now := time.Now()
	r.boot.Phases = append(r.boot.Phases, evidence.Phase{Name: all[i].Name, Seconds: seconds(now.Sub(r.started)), Line: clip(line)})
	r.spec.notify("%s boot: %s at %.0f s", r.boot.Name, all[i].Name, now.Sub(r.started).Seconds())
	r.next, r.reached, r.linesThen = i+1, now, r.consumed
}

func (r *run) looping() (string, bool) {
	for _, lines := range r.banners {
		if again := r.marks.reboots + 1; len(lines) > again {
			return clip(lines[again]), true
		}
	}
	return "", false
}

// reasons returns the rules that may explain why the awaited phase did not come. Rules
// that are not fatal are about something missing: they can explain a late phase, and a
// loop or an exit before the kernel printed anything (a loader without a kernel
// restarts the machine), but not the failure of a running system.
func (r *run) reasons(awaited string, late bool) func(text string) (cause.Finding, bool) {
	running := awaited == "init" || awaited == "login"
	if awaited == answerPhase || running && !late {
		return r.spec.Pack.FindFatal
	}
	return func(text string) (cause.Finding, bool) { return r.spec.Pack.Find(cause.Serial, text) }
}

// failBy records a failure with the cause that the rules find in the log, else with id.
// A loop, an exit or a missing phase usually has such a cause.
func (r *run) failBy(rules func(text string) (cause.Finding, bool), id, line, message string) error {
	if f, ok := rules(r.dialogue.Text()); ok {
		id, line, message = f.ID, f.Line, f.Line
	}
	return r.fail(id, line, message)
}

// fail records a failure and ends the boot. A failure that was observed directly, such
// as a wrong kernel or a failed check, keeps its cause whatever the log contains.
func (r *run) fail(id, line, message string) error {
	r.boot.Verdict, r.boot.Cause, r.boot.Line, r.boot.message = evidence.Failed, id, clip(line), message
	return errStopped
}

// ended records the failure of a boot whose machine exited.
func (r *run) ended(awaited string) error {
	stderr := r.machine.Stderr()
	if f, ok := r.spec.Pack.Find(cause.Stderr, stderr); ok {
		return r.fail(f.ID, f.Line, "QEMU ended: "+f.Line)
	}
	if line := r.panicked(); line != "" {
		return r.failBy(r.spec.Pack.FindFatal, "kernel.panic", line, line)
	}
	return r.failBy(r.reasons(awaited, false), "boot.ended", lastLine(r.dialogue.Text()), "the machine ended: "+lastLine(r.dialogue.Text()))
}

// quietKernel reports whether the kernel may have started with the option quiet:
// neither it nor its init has printed a mark, but there was output after the loader's,
// and no rule explains a failure.
func (r *run) quietKernel() bool {
	lines, _ := r.dialogue.Since(r.linesThen)
	spoke := slices.ContainsFunc(lines, func(l string) bool {
		return strings.TrimSpace(l) != "" && !strings.HasPrefix(l, "EFI stub:") && !anyMatch(r.loaderMarks(), l)
	})
	if !spoke {
		return false
	}
	_, explained := r.reasons("kernel", true)(r.dialogue.Text())
	return !explained
}

func (r *run) loaderMarks() []*regexp.Regexp {
	for _, p := range r.marks.phases {
		if p.Name == "loader" {
			return p.match
		}
	}
	return nil
}

// timedOut records that the next phase did not come in time.
func (r *run) timedOut(name string, within time.Duration) error {
	lines, _ := r.dialogue.Since(0)
	silent := len(lines) <= r.linesThen || name == "kernel" && r.onlyEFIStub(lines)
	last := lastLine(r.dialogue.Text())
	id := missing(name, silent)
	message := fmt.Sprintf("%s did not come within %s; the last line is %q", name, within, last)
	return r.failBy(r.reasons(name, true), id, last, message)
}

// onlyEFIStub reports whether all output since the loader is the EFI stub's.
func (r *run) onlyEFIStub(lines []string) bool {
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
	if err := r.machine.Screendump(ctx, file); err == nil { // the screenshot is optional
		r.screenshot = file
	}
}

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// clip bounds the length of a line in evidence, for guests that print no line ends.
func clip(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}
