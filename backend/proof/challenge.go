package proof

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"ingot/backend/evidence"
)

// A challenge shows that commands run in the guest, and in one boot of it. A nonce is
// generated after the disk's digest was computed; the guest answers with the SHA-256 of
// the nonce, the id of its boot, and its kernel's identity. Neither a disk that prints
// prepared output nor one that echoes its input can compute that digest.

// bootID prints an id of this boot: Linux's random boot_id, or the boot time on the
// BSDs and illumos.
const bootID = `cat /proc/sys/kernel/random/boot_id 2>/dev/null || sysctl -n kern.boottime 2>/dev/null || kstat -p unix:0:system_misc:boot_time`

// sha256Sum computes SHA-256 with the tool of Linux, the BSDs or illumos.
const sha256Sum = `{ sha256sum 2>/dev/null || sha256 2>/dev/null || digest -a sha256; }`

// challengeCommand returns the shell command that runs an identity's command and
// answers the nonce.
func challengeCommand(command, nonce string) string {
	return fmt.Sprintf(`i=$(%s); b=$(%s); echo; echo "I<$i>I"; echo "B<$b>B"; echo "A<$(printf '%%s %%s %%s' %s "$b" "$i" | %s | cut -c 1-64)>A"`, command, bootID, nonce, sha256Sum)
}

// newNonce returns a nonce of 26 letters and digits with 130 bits.
func newNonce() string { return rand.Text() }

// answered is the guest's answer.
type answered struct{ identity, bootID, answer string }

var replyForm = regexp.MustCompile(`(?ms)^I<(.*?)>I$.*?^B<([^\n]*)>B$.*?^A<([0-9a-f]{64})>A`)

// readReply parses an answer. Kernel messages may have interrupted it: then the answer
// is wrong, and the challenge is repeated.
func readReply(out string) answered {
	m := replyForm.FindStringSubmatch(strings.ReplaceAll(out, "\r", ""))
	if m == nil {
		return answered{}
	}
	return answered{m[1], m[2], m[3]}
}

// fits reports whether the answer is correct for the nonce.
func (r answered) fits(nonce string) bool {
	sum := sha256.Sum256([]byte(nonce + " " + r.bootID + " " + r.identity))
	return r.answer == hex.EncodeToString(sum[:])
}

// evidence returns the challenge in the form of the record.
func (r answered) evidence(nonce string) *evidence.Challenge {
	return &evidence.Challenge{Nonce: nonce, BootID: r.bootID, Answer: r.answer}
}
