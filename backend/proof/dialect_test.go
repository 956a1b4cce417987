package proof

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ingot/backend/dialogue"
	"ingot/backend/evidence"
	"ingot/backend/qemu"
	"ingot/backend/target"
)

// toy is a dialect of no real system.
type toy struct{}

func (toy) Seed(file string, checks []target.Check) (qemu.Account, error) {
	return qemu.Account{User: "toyuser", Password: "toypass"}, os.WriteFile(file, []byte(checks[0].Run), 0o600)
}
func (toy) Prompts() dialogue.Prompts {
	return dialogue.Prompts{Login: regexp.MustCompile(`login: $`), Password: regexp.MustCompile(`SECRET> $`), Shell: regexp.MustCompile(`ready> $`)}
}
func (toy) Quiet() string { return "hush" }
func (toy) Identity() Identity {
	return Identity{Command: "who-runs",
		Read: func(out string, _ Kernel) (k Kernel) {
			_, k.BuildID, _ = strings.Cut(strings.TrimSpace(out), "kernel ")
			return k
		},
		Of: func(k Kernel) Kernel { return Kernel{BuildID: k.BuildID} }}
}
func (toy) Checks(n int) Checks {
	return Checks{Mount: "plug", Run: slices.Repeat([]string{"examine"}, n)}
}

// play simulates a guest of this dialect with the given kernel, whose checks exit with
// the code.
func (toy) play(kernel, code string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, upToKernel+"Linux version 6.1\r\nsystemd[1]: x\r\ntoy login: ")
		in := bufio.NewScanner(c)
		for in.Scan() {
			m := sentinelCmd.FindStringSubmatch(in.Text())
			end := func(code string) string { return "__S_" + m[2] + "_" + code + "_E__\r\n" }
			answer := "what?\r\n"
			switch {
			case in.Text() == "toyuser":
				answer = "SECRET> "
			case in.Text() == "toypass":
				answer = "ready> "
			case m == nil:
			case m[1] == "hush" || m[1] == "plug":
				answer = end("0")
			case strings.HasPrefix(m[1], "i=$(who-runs)"):
				_, out, _ := respond(m[1], "kernel "+kernel, "one boot")
				answer = out + end("0")
			case m[1] == "examine":
				answer = "examined\r\n" + end(code)
			}
			_, _ = io.WriteString(c, answer)
		}
	}
}

// A system is operated in its own dialect; a wrong kernel and a failed check are
// detected.
func TestDialect(t *testing.T) {
	for name, c := range map[string]struct{ kernel, code, cause string }{
		"ours":         {"cafe", "0", ""},
		"other kernel": {"beef", "0", "boot.wrong-kernel"},
		"failed check": {"cafe", "1", "boot.smoke-failed"},
	} {
		var seeds []string
		s := spec(t, nil)
		s.Booter = booter(func(req Request) (Machine, error) {
			b, _ := os.ReadFile(req.Seed)
			seeds = append(seeds, filepath.Base(req.Seed)+": "+string(b))
			return (&script{play: toy{}.play(c.kernel, c.code)}).Boot(t.Context(), req)
		})
		s.Dialect, s.Release, s.BuildID, s.Tools = toy{}, "any", "cafe", "tools.iso"
		s.Recipe.Smoke.Checks = []target.Check{{Name: "x", Run: "the toy's script"}}
		p, err := Prove(t.Context(), s)
		if want := map[bool]evidence.Verdict{true: evidence.Passed, false: evidence.Failed}[c.cause == ""]; err != nil || p.Verdict != want || p.Cause != c.cause || p.KernelBuildID != c.kernel {
			t.Errorf("%s: %q %q (%s), %v", name, p.Verdict, p.Cause, p.Message, err)
		}
		if seeds[0] != "seed.iso: the toy's script" {
			t.Errorf("%s: the seed is %q", name, seeds[0])
		}
	}
}

// The commands and texts for Linux must not change by accident: evidence of other
// computers is compared with them.
func TestLinuxDialect(t *testing.T) {
	id := Linux{}.Identity()
	k := id.Read("\nR:6.1-ingot:\nN:"+notesHex+":\n", Kernel{})
	if k != (Kernel{Release: "6.1-ingot", BuildID: "fc8ce430649d670f20ac7bb986d43a19a5247ca3"}) || id.Of(k) != k {
		t.Errorf("%+v", k)
	}
	if k := id.Read("noise", Kernel{Release: "a", BuildID: "b"}); k != (Kernel{}) {
		t.Errorf("noise: %+v", k)
	}
	c := Linux{}.Checks(2)
	if len(c.Run) != 2 || !strings.HasSuffix(c.Run[1], "bash /run/ingot-seed/check-01.sh") || !strings.Contains(c.Mount, "/dev/disk/by-label/cidata /run/ingot-seed") {
		t.Errorf("%+v", c)
	}
	file := filepath.Join(t.TempDir(), "seed.iso")
	a, err := Linux{}.Seed(file, []target.Check{{Name: "x", Run: "true"}})
	if info, serr := os.Stat(file); err != nil || serr != nil || info.Size() == 0 || a.User != "ingot-proof" || len(a.Password) < 20 {
		t.Errorf("%+v, %v, %v", a, err, serr)
	}
}
