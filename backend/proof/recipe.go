package proof

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"ingot/backend/dialogue"
	"ingot/backend/evidence"
	"ingot/backend/guest/notes"
	"ingot/backend/qemu"
	"ingot/backend/target"
)

// recipeDialect is a dialect in which the recipe's console: and identity: replace the
// dialect's values.
type recipeDialect struct {
	Dialect
	prompts  dialogue.Prompts
	identity Identity
	login    *target.Account // nil means the seed's account
}

// Seed writes the seed. The recipe's account, if any, is used instead of the seed's.
func (d recipeDialect) Seed(file string, checks []target.Check) (qemu.Account, error) {
	a, err := d.Dialect.Seed(file, checks)
	if d.login != nil {
		a = qemu.Account{User: d.login.User, Password: d.login.Password}
	}
	return a, err
}

// Prompts returns the dialect's prompts, with the recipe's shell prompt if it has one.
func (d recipeDialect) Prompts() dialogue.Prompts { return d.prompts }

// Identity returns the recipe's identity, or the dialect's.
func (d recipeDialect) Identity() Identity { return d.identity }

// recipeIdentity returns an identity that runs the recipe's command. Its output must
// contain the build-id, the release as a word, or the token.
func recipeIdentity(i target.Identity) (Identity, error) {
	id := Identity{Command: i.Run, Asks: clip(i.Run)}
	switch i.Want {
	case "buildId":
		id.Proves, id.Read = "kernel build-id", readBuildID
		id.Of = func(k Kernel) Kernel { return Kernel{BuildID: k.BuildID} }
	case "release":
		id.Proves = "kernel release"
		id.Read = func(out string, want Kernel) Kernel {
			if slices.Contains(strings.Fields(out), want.Release) {
				return Kernel{Release: want.Release}
			}
			return Kernel{Release: clip(lastLine(out))}
		}
		id.Of = func(k Kernel) Kernel { return Kernel{Release: k.Release} }
	case "token":
		id.Proves = "kernel token"
		id.Read = func(out string, want Kernel) Kernel {
			if want.Token != "" && strings.Contains(out, want.Token) {
				return Kernel{Token: want.Token}
			}
			return Kernel{Token: clip(lastLine(out))}
		}
		id.Of = func(k Kernel) Kernel { return Kernel{Token: k.Token} }
	default:
		return id, fmt.Errorf("identity.want: %q is not known", i.Want)
	}
	return id, nil
}

// hexDigits matches a build-id (20 bytes, or 16 for an MD5), or ELF notes that contain
// one.
var hexDigits = regexp.MustCompile(`[0-9a-f]{32,}`)

// readBuildID finds a build-id in hexadecimal digits, which spaces and line ends may
// interrupt, alone or in the kernel's ELF notes.
func readBuildID(out string, want Kernel) Kernel {
	text := strings.ToLower(strings.Join(strings.Fields(out), ""))
	if want.BuildID != "" && strings.Contains(text, want.BuildID) {
		return Kernel{BuildID: want.BuildID}
	}
	found := hexDigits.FindString(text)
	if raw, err := hex.DecodeString(found); err == nil {
		if id := notes.BuildID(raw); id != "" {
			found = id
		}
	}
	return Kernel{BuildID: clip(found)}
}

// marks are the patterns of one proof: the common ones and the recipe's.
type marks struct {
	phases       []phase
	panic, stuck []*regexp.Regexp
	reboots      int
	ownLogin     bool // the recipe has its own marks of the login phase
}

// marks returns the common patterns and the recipe's.
func (s Spec) marks() (m marks, err error) {
	shared, err := phases()
	if err != nil || s.Console == nil {
		return marks{phases: shared}, err
	}
	m.reboots, m.ownLogin = s.Console.Reboots, len(s.Console.Marks["login"]) > 0
	for _, p := range shared {
		if p.own, err = compile(s.Console.Marks[p.Name]); err != nil {
			return m, fmt.Errorf("console.marks.%s: %w", p.Name, err)
		}
		p.match = slices.Concat(p.match, p.own)
		m.phases = append(m.phases, p)
	}
	if m.panic, err = compile(s.Console.Panic); err != nil {
		return m, fmt.Errorf("console.panic: %w", err)
	}
	if m.stuck, err = compile(s.Console.Stuck); err != nil {
		return m, fmt.Errorf("console.stuck: %w", err)
	}
	return m, nil
}

func compile(patterns []string) (out []*regexp.Regexp, err error) {
	for _, p := range patterns {
		re, err := regexp.Compile(p)
		if err != nil {
			return nil, err
		}
		out = append(out, re)
	}
	return out, nil
}

// panicked returns the first line that matches one of the recipe's panic patterns.
func (r *run) panicked() string {
	if len(r.marks.panic) == 0 {
		return ""
	}
	lines, partial := r.dialogue.Since(r.scanned)
	r.scanned += len(lines)
	for _, l := range append(lines, partial) {
		if l != "" && anyMatch(r.marks.panic, l) {
			return l
		}
	}
	return ""
}

// stuckAfter is how long no output may follow a line that matches one of the recipe's
// stuck patterns.
const stuckAfter = 30 * time.Second

// stuck returns the last line if it matches one of the recipe's stuck patterns and no
// output has followed it for that time.
func (r *run) stuck(newest time.Time) string {
	limit := stuckAfter
	if r.spec.stuckAfter > 0 {
		limit = r.spec.stuckAfter
	}
	if len(r.marks.stuck) == 0 || time.Since(newest) < limit {
		return ""
	}
	if last := lastLine(r.dialogue.Text()); anyMatch(r.marks.stuck, last) {
		return last
	}
	return ""
}

// restarted starts the phases again after the n-th reboot, if the recipe announces that
// many.
func (r *run) restarted(n int, line string) {
	if n <= r.restarts || n > r.marks.reboots {
		return
	}
	r.restarts, r.next, r.reached = n, 0, time.Now()
	r.boot.Phases = append(r.boot.Phases, evidence.Phase{Name: "reboot", Seconds: seconds(time.Since(r.started)), Line: clip(line)})
	r.spec.notify("%s boot: the system rebooted, as its recipe announces", r.boot.Name)
}

// deadline returns the time that the phase may take after the previous one.
func (r *run) deadline(name string) time.Duration {
	if c := r.spec.Console; c != nil && c.Deadlines[name] > 0 {
		return time.Duration(c.Deadlines[name])
	}
	d := r.spec.Recipe.Deadlines
	all := map[string]target.Duration{"firmware": d.Firmware, "loader": d.Loader, "kernel": d.Kernel, "init": d.Init, "login": d.Login, answerPhase: d.Answer}
	if v := all[name]; v > 0 {
		return time.Duration(v)
	}
	return 2 * time.Minute
}
