package cause

import (
	"regexp"
	"slices"
)

// Ids of explanations that are no cause.
const (
	None    = "none"    // the log shows a boot up to its login prompt
	Unknown = "unknown" // no rule fits
)

// Explanation is what a log tells: a finding of the pack, None, or Unknown with
// the log's last lines.
type Explanation struct {
	Finding
	Tail []string `json:"tail,omitempty"`
}

var (
	// loginPrompt is a getty's prompt, which ends a boot that went well: agetty's and
	// BusyBox's with the host's name, BSD's without, illumos' with its console's.
	loginPrompt = regexp.MustCompile(`^(([\w.-]+|\(none\)) (console )?login:(\s|$)|login:\s*$)`)
	// noPrompt are a login's own words.
	noPrompt = regexp.MustCompile(`^(?i:last|failed|successful|invalid|bad|new|remote|root) login:`)
	// guestSpeaks are lines of a kernel or an init: QEMU has started then.
	guestSpeaks = regexp.MustCompile(`^(EFI stub: |Booting Linux on|Linux version |systemd\[1\]: |\[\s*OK\s*\])`)
	// ofTools are lines of QEMU's tools, which a guest may run as well.
	ofTools = regexp.MustCompile(`^qemu-(img|nbd|io): `)
	// ofQEMU are lines that QEMU or its tools wrote, wherever they are found.
	ofQEMU = regexp.MustCompile(`^(qemu-(system-\w+|img|nbd|io): |\*\*$|ERROR:\.\./\S+\.c:\d+:|Bail out! ERROR:)`)
)

// unknownTail is how many lines an unknown log shows.
const unknownTail = 20

// Explain reads any text: a serial log, QEMU's messages, a capture of both, the
// log of a program that ran QEMU. What the guest says is judged by the rules
// for consoles, what QEMU says by those for its messages; QEMU's word comes
// first, since without it no guest speaks.
func (p *Pack) Explain(text string) Explanation {
	lines := Lines(text)
	var qemu, console []string
	inGuest := false
	for _, l := range lines {
		inGuest = inGuest || guestSpeaks.MatchString(l) || isPrompt(l)
		if ofQEMU.MatchString(l) && !(inGuest && ofTools.MatchString(l)) {
			qemu = append(qemu, l)
		} else {
			console = append(console, l)
		}
	}
	if f, ok := p.findIn(Stderr, qemu, anyRule); ok {
		return Explanation{Finding: f}
	}
	if f, ok := p.findIn(Serial, console, anyRule); ok {
		return Explanation{Finding: f}
	}
	if slices.ContainsFunc(console, isPrompt) {
		return Explanation{Finding: Finding{ID: None}}
	}
	return Explanation{Finding: Finding{ID: Unknown}, Tail: lines[max(0, len(lines)-unknownTail):]}
}

// isPrompt tells whether a line is a getty's prompt.
func isPrompt(line string) bool { return loginPrompt.MatchString(line) && !noPrompt.MatchString(line) }
