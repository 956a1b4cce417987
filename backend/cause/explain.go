package cause

import "regexp"

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
	// loginPrompt is a getty's prompt, which ends a boot that went well.
	loginPrompt = regexp.MustCompile(`^[\w.-]+ login:(\s|$)`)
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
	for _, l := range lines {
		if ofQEMU.MatchString(l) {
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
	if _, ok := first(console, loginPrompt); ok {
		return Explanation{Finding: Finding{ID: None}}
	}
	return Explanation{Finding: Finding{ID: Unknown}, Tail: lines[max(0, len(lines)-unknownTail):]}
}
