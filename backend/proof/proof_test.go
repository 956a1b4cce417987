package proof

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/target"
)

// script is a machine that says what a test tells it to. It stands for QEMU in
// tests of the clock alone; real boots are in test/e2e.
type script struct {
	says    func(c net.Conn) // runs as the guest; its return leaves the line open
	stderr  string
	dies    bool // the machine ends when says returns
	console net.Conn
	done    chan struct{}
	once    sync.Once
}

func (s *script) Boot(context.Context, Request) (Machine, error) {
	ours, guest := net.Pipe()
	m := &script{console: ours, done: make(chan struct{}), stderr: s.stderr}
	go func() {
		s.says(guest)
		if s.dies {
			_ = guest.Close()
			m.once.Do(func() { close(m.done) })
		}
	}()
	return m, nil
}

// The log holds all that the machine said, to the last word before its end.
func TestLogIsWhole(t *testing.T) {
	said := upToKernel + strings.Repeat("Linux is talkative\r\n", 20_000) + "the end"
	s := spec(t, &script{says: say(said), dies: true})
	p, err := Prove(t.Context(), s)
	if err != nil || p.Verdict != evidence.Failed || len(p.Boots) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	log, err := os.ReadFile(filepath.Join(s.Dir, p.Boots[0].Serial.Name))
	if err != nil || string(log) != said {
		t.Errorf("a log of %d bytes after %d were said, %v", len(log), len(said), err)
	}
}

// full refuses to keep more than it has room for.
type full struct {
	strings.Builder
	room int
}

func (f *full) Write(p []byte) (int, error) {
	n := min(len(p), f.room-f.Len())
	f.Builder.Write(p[:n])
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// A boot whose log has a hole has no verdict, and says at once what is wrong.
func TestLogWithHole(t *testing.T) {
	said := fixture(t, "aavmf-nodisk.serial.log")
	for _, room := range []int{1 << 20, 1000, 0} {
		m := &script{says: say(said)}
		s := spec(t, m)
		machine, err := m.Boot(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		log := &full{room: room}
		r := &run{spec: s, machine: machine, boot: &booted{}, proof: &evidence.Proof{}, started: time.Now(), script: newTranscript(log)}
		err = r.watch(t.Context(), false)
		if hole := room < len(said); errors.Is(err, syscall.ENOSPC) != hole || (r.boot.Verdict == evidence.Failed) == hole {
			t.Errorf("room for %d of %d bytes: verdict %q, %v", room, len(said), r.boot.Verdict, err)
		}
	}
}

func (s *script) Console() Console                         { return s.console }
func (s *script) Done() <-chan struct{}                    { return s.done }
func (s *script) Stderr() string                           { return s.stderr }
func (s *script) Screendump(context.Context, string) error { return errors.New("no screen") }
func (s *script) Kill()                                    { _ = s.console.Close(); s.once.Do(func() { close(s.done) }) }
func (s *script) Record() Record                           { return Record{Argv: []string{"script"}, Accelerator: "tcg"} }

func spec(t *testing.T, b Booter) Spec {
	t.Helper()
	pack, err := cause.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	img := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(img, []byte("disk"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := target.Duration(2 * time.Second)
	return Spec{Image: img, Format: "raw", Name: "disk.raw", Booter: b, Pack: pack, Dir: t.TempDir(),
		Recipe: target.Proof{Deadlines: target.Deadlines{Firmware: d, Loader: d, Kernel: d, Init: d, Login: d, Answer: d}}}
}

func fixture(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "cause", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func say(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, text)
		go func() { _, _ = io.Copy(io.Discard, c) }() // a line takes what is typed, heard or not
	}
}

const upToKernel = "UEFI firmware (version x)\r\nEFI stub: Booting Linux Kernel...\r\n"

// Each way to fail must be told by its own cause.
func TestCauses(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for deadlines")
	}
	cases := map[string]struct {
		machine *script
		want    string
	}{
		"silence":        {&script{says: say("")}, "firmware.silent"},
		"no disk":        {&script{says: say(fixture(t, "aavmf-nodisk.serial.log"))}, "firmware.no-disk"},
		"blank disk":     {&script{says: say(fixture(t, "aavmf-blank.serial.log"))}, "firmware.no-esp"},
		"no loader":      {&script{says: say(fixture(t, "uefi-empty-esp.serial.log"))}, "firmware.no-loader"},
		"no root":        {&script{says: say("UEFI firmware (version x)\r\n" + fixture(t, "panic-no-root.serial.log"))}, "kernel.no-root"},
		"silent kernel":  {&script{says: say(upToKernel + "EFI stub: Exiting boot services...\r\n")}, "kernel.silent"},
		"hang in kernel": {&script{says: say(upToKernel + "Linux version 6.1\r\nsomething\r\n")}, "boot.hang"},
		"no getty":       {&script{says: say(upToKernel + "Linux version 6.1\r\nsystemd[1]: hello\r\n")}, "boot.no-login"},
		"tty timed out":  {&script{says: say("UEFI firmware (version x)\r\nEFI stub: Booting Linux Kernel...\r\nLinux version 6\r\nsystemd[1]: x\r\n" + tail(fixture(t, "uefi-sdboot-systemd.serial.log"), 2000))}, "init.unit-timeout"},
		"loop":           {&script{says: say(upToKernel + "Linux version 6.1\r\n" + upToKernel)}, "boot.loop"},
		"loop by menu":   {&script{says: say("UEFI firmware (version x)\r\n  Reboot Into Firmware Interface\r\n  Boot in 3 s.\r\nUEFI firmware (version x)\r\n")}, "loader.no-kernel"},
		"loop past tty":  {&script{says: say(upToKernel + "Linux version 6.1\r\nsystemd[1]: x\r\n[ TIME ] Timed out waiting for device dev-ttyS9.device - /dev/ttyS9.\r\n" + upToKernel)}, "boot.loop"},
		"loop by panic":  {&script{says: say(upToKernel + "Linux version 6.1\r\nKernel panic - not syncing: Requested init /x failed (error -2).\r\n" + upToKernel)}, "kernel.no-init"},
		"switched off":   {&script{says: say(upToKernel + "Linux version 6.1\r\nreboot: Power down\r\n"), dies: true}, "boot.ended"},
		"crash":          {&script{says: say("UEFI firmware (version x)\r\n"), dies: true, stderr: "qemu: ../x.c:12: Assertion `y' failed."}, "qemu.crashed"},
		"deaf":           {&script{says: say(upToKernel + "Linux version 6.1\r\nsystemd[1]: x\r\nhost login: ")}, "boot.login-timeout"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := spec(t, c.machine)
			s.Release, s.BuildID = "6.1-ingot", "aa"
			p, err := Prove(context.Background(), s)
			if err != nil || p.Verdict != evidence.Failed || p.Cause != c.want {
				t.Errorf("verdict %q, cause %q (%s), %v; want %s", p.Verdict, p.Cause, p.Message, err, c.want)
			}
			if p.Verdict == evidence.Failed && len(p.Boots) > 0 && p.Boots[0].Serial.SHA256 == "" {
				t.Error("no serial log in the record")
			}
		})
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

var sentinelCmd = regexp.MustCompile(`^(.*); echo "__S_(\d+)_""\$\?""_E__"`)

// shell plays a guest that lets the account in and answers commands.
func shell(release, notes string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, upToKernel+"Linux version 6.1\r\nsystemd[1]: x\r\n\r\nhost login: ")
		buf := make([]byte, 4096)
		line := ""
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			line += string(buf[:n])
			for strings.Contains(line, "\n") {
				var l string
				l, line, _ = strings.Cut(line, "\n")
				_, _ = io.WriteString(c, l+"\r\n") // the tty's echo
				_, _ = io.WriteString(c, reply(l, release, notes))
			}
		}
	}
}

func reply(l, release, notes string) string {
	m := sentinelCmd.FindStringSubmatch(l)
	switch {
	case l == "ingot-proof":
		return "Password: "
	case m == nil:
		return "\r\n[   12.3] kernel: noise in between\r\n$ "
	case strings.Contains(m[1], "/sys/kernel/notes"):
		return "R:" + release + ":\r\nN:" + notes + ":\r\n__S_" + m[2] + "_0_E__\r\n"
	}
	return "__S_" + m[2] + "_0_E__\r\n"
}

const notesHex = "040000001400000003000000474e5500fc8ce430649d670f20ac7bb986d43a19a5247ca3"

func TestKernelIdentity(t *testing.T) {
	const id = "fc8ce430649d670f20ac7bb986d43a19a5247ca3"
	for name, c := range map[string]struct {
		release, id string
		want        evidence.Verdict
		cause       string
	}{
		"ours":          {"6.1.192-ingot-1", id, evidence.Passed, ""},
		"other release": {"6.1.192-ingot-2", id, evidence.Failed, "boot.wrong-kernel"},
		"other id":      {"6.1.192-ingot-1", strings.Repeat("ab", 20), evidence.Failed, "boot.wrong-kernel"},
		"any kernel":    {"", "", evidence.Passed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := spec(t, &script{says: shell("6.1.192-ingot-1", notesHex)})
			s.Release, s.BuildID = c.release, c.id
			p, err := Prove(context.Background(), s)
			if err != nil || p.Verdict != c.want || p.Cause != c.cause {
				t.Errorf("%q %q (%s), %v", p.Verdict, p.Cause, p.Message, err)
			}
			if p.KernelRelease != "6.1.192-ingot-1" || p.KernelBuildID != id {
				t.Errorf("identity %q %q", p.KernelRelease, p.KernelBuildID)
			}
			if c.want == evidence.Passed && len(p.Boots) != 2 {
				t.Errorf("%d boots, want seeded and unseeded", len(p.Boots))
			}
		})
	}
}

// A verdict that was seen for certain keeps its cause, whatever the guest says.
func TestCertainVerdictsStand(t *testing.T) {
	const said = "\r\n[ TIME ] Timed out waiting for device dev-ttyAMA9.device - /dev/ttyAMA9.\r\nKernel panic - not syncing: is what the docs say\r\nerror: no rule fits this\r\n"
	for name, c := range map[string]struct {
		release string
		code    string
		want    string
	}{
		"other kernel": {"6.1-other", "0", "boot.wrong-kernel"},
		"failed check": {"6.1-ingot", "1", "boot.smoke-failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play := func(c2 net.Conn) { talkative(c2, said, c.code) }
			s := spec(t, &script{says: play})
			s.Release, s.BuildID, s.Tools = c.release, "fc8ce430649d670f20ac7bb986d43a19a5247ca3", "tools.iso"
			s.Recipe.Smoke.Checks = []target.Check{{Name: "x", Run: "x"}}
			p, err := Prove(context.Background(), s)
			if err != nil || p.Cause != c.want {
				t.Errorf("cause %q (%s), %v; want %s", p.Cause, p.Message, err, c.want)
			}
		})
	}
}

// talkative is a guest's shell that says a text before each answer; its checks
// end with the code.
func talkative(c net.Conn, said, code string) {
	_, _ = io.WriteString(c, upToKernel+"Linux version 6.1\r\nsystemd[1]: x\r\n\r\nhost login: ")
	in := bufio.NewScanner(c)
	for in.Scan() {
		l := in.Text()
		answer := reply(l, "6.1-ingot", notesHex)
		if m := sentinelCmd.FindStringSubmatch(l); m != nil {
			answer = said + answer
			if strings.Contains(m[1], "/check-") {
				answer = said + "__S_" + m[2] + "_" + code + "_E__\r\n"
			}
		}
		_, _ = io.WriteString(c, l+"\r\n"+answer)
	}
}

// A file with other bytes than the evidence is about is not even booted.
func TestDigestFirst(t *testing.T) {
	s := spec(t, &script{says: func(net.Conn) { t.Error("it was booted") }})
	s.SHA256 = strings.Repeat("0", 64)
	if p, err := Prove(context.Background(), s); err != nil || p.Cause != "image.digest-changed" || len(p.Boots) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	s.Image = filepath.Join(t.TempDir(), "gone")
	if _, err := Prove(context.Background(), s); cause.Of(err) != "image.missing" {
		t.Errorf("missing file: %v", err)
	}
}

// The image changing under the boot must not pass.
func TestDigestAfter(t *testing.T) {
	var s Spec
	play := shell("r", notesHex)
	s = spec(t, &script{says: func(c net.Conn) { _ = os.WriteFile(s.Image, []byte("bent"), 0o600); play(c) }})
	if p, err := Prove(context.Background(), s); err != nil || p.Verdict != evidence.Failed || p.Cause != "image.digest-changed" {
		t.Errorf("%q %q, %v", p.Verdict, p.Cause, err)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := spec(t, &script{says: func(c net.Conn) { say(upToKernel)(c); cancel() }})
	if _, err := Prove(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestSeedIsAnISO(t *testing.T) {
	f := filepath.Join(t.TempDir(), "seed.iso")
	if err := writeSeed(f, newAccount(), []target.Check{{Name: "x", Run: "true"}}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f)
	if err != nil || len(b) < 0x8800 || string(b[0x8001:0x8006]) != "CD001" || !strings.HasPrefix(string(b[0x8028:0x8048]), "cidata") {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
