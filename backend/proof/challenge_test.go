package proof

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"ingot/backend/evidence"
	"ingot/backend/target"
)

// asked matches the identity command and the nonce in a challenge's command.
var asked = regexp.MustCompile(`^i=\$\((.*)\); b=\$\(cat .*printf '%s %s %s' ([0-9A-Z]{26}) `)

// respond returns the output of a guest whose kernel has the identity, in the boot of
// that id; ok is false for a command that is not a challenge.
func respond(command, identity, boot string) (question, output string, ok bool) {
	m := asked.FindStringSubmatch(command)
	if m == nil {
		return "", "", false
	}
	question, nonce := m[1], m[2]
	sum := sha256.Sum256([]byte(nonce + " " + boot + " " + strings.ReplaceAll(identity, "\r", "")))
	return question, fmt.Sprintf("\r\nI<%s>I\r\nB<%s>B\r\nA<%x>A\r\n", identity, boot, sum), true
}

// The command works in a real shell, and its answer is valid only for its own nonce.
func TestChallengeInAShell(t *testing.T) {
	nonce := newNonce()
	out, err := exec.Command("sh", "-c", challengeCommand(`printf 'R:1:\nN:2:\n'`, nonce)).Output()
	if err != nil {
		t.Fatal(err)
	}
	r := readReply(strings.ReplaceAll(string(out), "\n", "\r\n")) // with a terminal's line ends
	if !r.fits(nonce) || r.identity != "R:1:\nN:2:" || r.bootID == "" {
		t.Errorf("%q: %+v", out, r)
	}
	if r.fits(newNonce()) {
		t.Error("it answers another nonce")
	}
	for name, bent := range map[string]string{"identity": "R:1:", "boot": r.bootID, "answer": r.answer} {
		if got := readReply(strings.Replace(string(out), bent, "x"+bent[1:], 1)); got.fits(nonce) {
			t.Errorf("another %s fits", name)
		}
	}
	if readReply("nothing of it").fits(nonce) {
		t.Error("no answer fits")
	}
}

// A disk that prints prepared output, or repeats its input, is not a guest: it fails
// where a kernel is expected, and for a foreign image only the prompt is proven.
func TestChallenge(t *testing.T) {
	const id, boot = "fc8ce430649d670f20ac7bb986d43a19a5247ca3", "b00t"
	identity := "R:6.1-ingot:\r\nN:" + notesHex + ":"
	guest := func(answer func(n int, question, good string) string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = io.WriteString(c, upToKernel+"Linux version 6.1\r\nsystemd[1]: x\r\n\r\nhost login: ")
			in, n := bufio.NewScanner(c), 0
			for in.Scan() {
				l := in.Text()
				text := reply(l, "6.1-ingot", notesHex)
				if m := sentinelCmd.FindStringSubmatch(l); m != nil {
					if question, good, ok := respond(m[1], identity, boot); ok {
						n++
						text = answer(n, question, good) + "__S_" + m[2] + "_0_E__\r\n"
					}
				}
				_, _ = io.WriteString(c, l+"\r\n"+text)
			}
		}
	}
	_, replayed, _ := respond(challengeCommand("x", newNonce()), identity, boot)
	for name, c := range map[string]struct {
		answer func(n int, question, good string) string
		ours   string
		kernel string // of a foreign image
	}{
		"a guest": {func(_ int, _, good string) string { return good }, "", "6.1-ingot"},
		"cut once": {func(n int, _, good string) string {
			return map[bool]string{true: good[:40] + "[ 1.2] noise\r\n" + good[40:], false: good}[n == 1]
		}, "", "6.1-ingot"},
		"only identity":   {func(int, string, string) string { return identity + "\r\n" }, "boot.challenge-failed", ""},
		"an old answer":   {func(int, string, string) string { return replayed }, "boot.challenge-failed", ""},
		"another boot":    {func(n int, question, good string) string { return map[bool]string{true: good, false: replayed}[n == 1] }, "boot.challenge-failed", "6.1-ingot"},
		"what it is sent": {func(_ int, question, _ string) string { return question + "\r\n" }, "boot.challenge-failed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, ours := range []bool{true, false} {
				s := spec(t, &script{play: guest(c.answer)})
				s.Tools, s.Recipe.Smoke.Checks = "tools.iso", []target.Check{{Name: "x", Run: "x"}}
				want := ""
				if ours {
					s.Release, s.BuildID, want = "6.1-ingot", id, c.ours
				} else {
					s.Tools = ""
				}
				p, err := Prove(t.Context(), s)
				if err != nil || p.Cause != want {
					t.Errorf("ours %v: %q (%s), %v; want %q", ours, p.Cause, p.Message, err, want)
				}
				challenged := len(p.Boots) > 0 && p.Boots[0].Challenge != nil
				if !ours && (p.KernelRelease != c.kernel || challenged != (c.kernel != "") || p.Verdict != evidence.Passed || strings.Contains(p.Proven, "challenge") != challenged) {
					t.Errorf("foreign: kernel %q, %q, challenge %v", p.KernelRelease, p.Proven, challenged)
				}
				if ours && want == "" && !strings.Contains(p.Proven, "an answer to a challenge") {
					t.Errorf("proven: %s", p.Proven)
				}
				if len(p.Boots) == 2 && p.Boots[1].Challenge != nil {
					t.Error("the boot without a seed says that it answered")
				}
			}
		})
	}
}
