package cause

import (
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
	// Findings are all causes found, each before its consequences; the first is
	// Finding.
	Findings []Finding `json:"findings,omitempty"`
	Tail     []string  `json:"tail,omitempty"`
}

var (
	// loginPrompt is a getty's prompt, which ends a boot that went well: agetty's and
	// BusyBox's with the host's name, BSD's without, illumos' with its console's.
	loginPrompt = lazy(`^(([\w.-]+|\(none\)) (console )?[Ll]ogin:(\s|$)|login:( \S+)?\s*$)`)
	// noPrompt are a login's own words.
	noPrompt = lazy(`^(?i:last|failed|successful|invalid|bad|new|remote|root) login:`)
	// otherPrompt are consoles that ask for no login: OpenWrt's and BusyBox's, pfSense's.
	otherPrompt = lazy(`^(Please press Enter to activate this console\.|Enter an option:)`)
	// shellPrompt is a prompt with user, host and folder, and the command after it.
	shellPrompt = lazy(`^\[?([\w.-]+@[\w.-]+)[: ]\S*\]? ?[#$%](?: (.*))?$`)
	// showsOther are commands whose output is another system's, or an old log.
	showsOther = lazy(`\b(qemu-system-\w+|qemu-kvm|kvm|virsh|virt-install|limactl|lima|podman|docker|cat|less|more|tail|head|z?grep|dmesg|journalctl|ssh|screen|minicom|picocom|telnet|socat|nc|vagrant|packer|make)\b`)
	// guestSpeaks are lines of a guest's firmware, kernel or init: QEMU has started then.
	guestSpeaks = lazy(`^(UEFI firmware|BdsDxe: |SeaBIOS |U-Boot \d|EFI stub: |Booting Linux on|Linux version |systemd\[1\]: |\[\s*OK\s*\])`)
)

// unknownTail is how many lines an unknown log shows.
const unknownTail = 20

// Explain reads any text: a serial log, QEMU's messages, a capture of both, the
// log of a program that ran QEMU. What the guest says is judged by the rules
// for consoles, what QEMU says by those for its messages; QEMU's word comes
// first, since without it no guest speaks.
func (p *Pack) Explain(text string) Explanation {
	s := bySpeaker(text)
	found := append(p.all(Stderr, output{lines: s.host, from: s.hostFrom}), p.all(Serial, console(s.console))...)
	switch {
	case len(found) > 0:
		return Explanation{Finding: found[0], Findings: found}
	case s.up:
		return Explanation{Finding: Finding{ID: None}}
	}
	lines := Lines(text)
	return Explanation{Finding: Finding{ID: Unknown}, Tail: lines[max(0, len(lines)-unknownTail):]}
}

// sorted are the lines of a text by who said them.
type sorted struct {
	host, console []string
	hostFrom      int  // the first of host after the guest's last prompt
	up            bool // the guest came up
}

// bySpeaker tells QEMU's words, and those of programs about it, from the guest's. A
// record of a log in JSON or logfmt is never the guest's, even if it holds the
// words of a panic: guests write such logs of their own programs.
func bySpeaker(text string) (s sorted) {
	inGuest, session, heard := false, false, false // heard: the guest's own console is in the text
	up := func() { s.up, s.hostFrom, inGuest = true, len(s.host), true }
	for _, l := range Lines(text) {
		if inner, ok := unwrap(l); ok {
			if heard {
				continue // a program of the guest wrote it
			}
			for _, in := range Lines(joinLines(inner)) {
				if hostUp().MatchString(in) {
					up()
				} else if words, ok := wordsOf(in, inGuest); ok {
					s.host = append(s.host, words)
				}
			}
			continue
		}
		words, ok := wordsOf(l, inGuest)
		prompt := shellPrompt().FindStringSubmatch(l)
		switch {
		case isPrompt(l):
			up()
			session, heard = false, true
			s.console = append(s.console, l)
		case prompt != nil && s.up:
			session = true
			s.console = append(s.console, l)
		case prompt != nil && !session: // the shell in which QEMU was started
		case ok && !session:
			s.host = append(s.host, words)
		case !ok && hostUp().MatchString(l):
			up()
		default:
			if !heard && (guestSpeaks().MatchString(l) || stageOf(l) > anyStage) {
				inGuest, heard = true, true
			}
			s.console = append(s.console, l)
		}
	}
	return s
}

// isPrompt tells whether a line is the prompt of a system that came up.
func isPrompt(line string) bool {
	return loginPrompt().MatchString(line) && !noPrompt().MatchString(line) || otherPrompt().MatchString(line)
}

// output is the lines of a text; those from index from on are searched for a cause.
type output struct {
	lines []string
	from  int
}

// console is the output of a guest. Only the lines after its last login prompt can
// tell a cause: a system that came up was not kept from it by what it had said
// before. A shell's prompt after a login says the same; what a command like cat or
// qemu-system-aarch64 prints after it is of another system.
func console(lines []string) output {
	s := output{lines: lines}
	up := false
	for i, l := range lines {
		if isPrompt(l) {
			s.from, up = i+1, true
			continue
		}
		if m := shellPrompt().FindStringSubmatch(l); m != nil && up {
			s.from = i + 1
			if showsOther().MatchString(m[2]) && !slices.ContainsFunc(lines[i+1:], shellPrompt().MatchString) {
				s.from = len(lines)
			}
		}
	}
	return s
}
