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
	"ingot/backend/dialogue"
	"ingot/backend/evidence"
	"ingot/backend/target"
)

// script is a machine whose output a test determines. It replaces QEMU in unit tests;
// real boots are in test/e2e.
type script struct {
	play    func(c net.Conn) // runs as the guest; the console stays open after its return
	stderr  string
	exits   bool // the machine exits when play returns
	console net.Conn
	done    chan struct{}
	once    sync.Once
}

func (s *script) Boot(context.Context, Request) (Machine, error) {
	ours, guest := net.Pipe()
	m := &script{console: ours, done: make(chan struct{}), stderr: s.stderr}
	go func() {
		s.play(guest)
		if s.exits {
			_ = guest.Close()
			m.once.Do(func() { close(m.done) })
		}
	}()
	return m, nil
}

// The log has all output of the machine, up to its exit.
func TestLogIsWhole(t *testing.T) {
	output := upToKernel + strings.Repeat("Linux is talkative\r\n", 20_000) + "the end"
	s := spec(t, &script{play: say(output), exits: true})
	p, err := Prove(t.Context(), s)
	if err != nil || p.Verdict != evidence.Failed || len(p.Boots) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	log, err := os.ReadFile(filepath.Join(s.Dir, p.Boots[0].Serial.Name))
	if err != nil || string(log) != output {
		t.Errorf("a log of %d bytes after %d were output, %v", len(log), len(output), err)
	}
}

// full returns ENOSPC after a number of bytes.
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

// A boot whose log has a gap has no verdict, and the error is returned at once.
func TestLogWithHole(t *testing.T) {
	output := fixture(t, "aavmf-nodisk.serial.log")
	for _, room := range []int{1 << 20, 1000, 0} {
		m := &script{play: say(output)}
		s := spec(t, m)
		machine, err := m.Boot(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		log := &full{room: room}
		marks, err := s.marks()
		if err != nil {
			t.Fatal(err)
		}
		r := &run{spec: s, machine: machine, boot: &booted{}, proof: &evidence.Proof{}, marks: marks, started: time.Now(), dialogue: dialogue.New(machine.Console(), machine.Done(), log)}
		err = r.watch(t.Context(), false)
		if hole := room < len(output); errors.Is(err, syscall.ENOSPC) != hole || (r.boot.Verdict == evidence.Failed) == hole {
			t.Errorf("room for %d of %d bytes: verdict %q, %v", room, len(output), r.boot.Verdict, err)
		}
	}
}

func (s *script) Distrust(context.Context, string, string) {}

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
		go func() { _, _ = io.Copy(io.Discard, c) }() // a console accepts input that no program reads
	}
}

const upToKernel = "UEFI firmware (version x)\r\nEFI stub: Booting Linux Kernel...\r\n"

// A loader's prompt ends a proof at once, before the deadline; GRUB's banner is not
// taken for init's.
func TestLoaderPromptEnds(t *testing.T) {
	for name, output := range map[string]string{
		"grub":    "Welcome to GRUB!\r\n\r\n                     GNU GRUB  version 2.06\r\n\r\ngrub> ",
		"rescue":  "GRUB loading.\r\nWelcome to GRUB!\r\n\r\nerror: unknown filesystem.\r\nEntering rescue mode...\r\ngrub rescue> ",
		"OpenBSD": ">> OpenBSD/arm64 BOOTAA64 1.18\r\nboot> \r\nbooting sd0a:/bsd: open sd0a:/bsd: No such file or directory\r\n failed(2). will try /bsd\r\nTurning timeout off.\r\nboot> ",
		"FreeBSD": "FreeBSD/arm64 EFI loader, Revision 1.1\r\ncan't load 'kernel'\r\nType '?' for a list of commands, 'help' for more detailed help.\r\nOK ",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := spec(t, &script{play: say(output)})
			long := target.Duration(10 * time.Minute)
			s.Recipe.Deadlines = target.Deadlines{Firmware: long, Loader: long, Kernel: long, Init: long, Login: long, Answer: long}
			began := time.Now()
			p, err := Prove(t.Context(), s)
			if err != nil || p.Verdict != evidence.Failed || !strings.HasPrefix(p.Cause, "loader.") || time.Since(began) > time.Minute {
				t.Errorf("%q, %s, %v after %s", p.Verdict, p.Cause, err, time.Since(began))
			}
			for _, ph := range p.Boots[0].Phases {
				if ph.Name != "firmware" && ph.Name != "loader" {
					t.Errorf("phase %s by %q", ph.Name, ph.Line)
				}
			}
		})
	}
}

// Each kind of failure has its own cause.
func TestCauses(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for deadlines")
	}
	cases := map[string]struct {
		machine *script
		want    string
	}{
		"silence":        {&script{play: say("")}, "firmware.silent"},
		"no disk":        {&script{play: say(fixture(t, "aavmf-nodisk.serial.log"))}, "firmware.no-disk"},
		"blank disk":     {&script{play: say(fixture(t, "aavmf-blank.serial.log"))}, "firmware.no-esp"},
		"no loader":      {&script{play: say(fixture(t, "uefi-empty-esp.serial.log"))}, "firmware.no-loader"},
		"no root":        {&script{play: say("UEFI firmware (version x)\r\n" + fixture(t, "panic-no-root.serial.log"))}, "kernel.no-root"},
		"silent kernel":  {&script{play: say(upToKernel + "EFI stub: Exiting boot services...\r\n")}, "kernel.silent"},
		"hang in kernel": {&script{play: say(upToKernel + "Linux version 6.1\r\nsomething\r\n")}, "boot.hang"},
		"no getty":       {&script{play: say(upToKernel + "Linux version 6.1\r\nsystemd[1]: hello\r\n")}, "boot.no-login"},
		"tty timed out":  {&script{play: say("UEFI firmware (version x)\r\nEFI stub: Booting Linux Kernel...\r\nLinux version 6\r\nsystemd[1]: x\r\n" + tail(fixture(t, "uefi-sdboot-systemd.serial.log"), 2000))}, "init.unit-timeout"},
		"GRUB's prompt":  {&script{play: say("UEFI firmware (version x)\r\nWelcome to GRUB!\r\n\r\n                     GNU GRUB  version 2.06\r\n\r\n   Minimal BASH-like line editing is supported.\r\n\r\ngrub> ")}, "loader.prompt"},
		"GRUB's rescue":  {&script{play: say("Welcome to GRUB!\r\n\r\nerror: no such device: 614e.\r\nEntering rescue mode...\r\ngrub rescue> ")}, "loader.disk-unreadable"},
		"loop":           {&script{play: say(upToKernel + "Linux version 6.1\r\n" + upToKernel)}, "boot.loop"},
		"loop by menu":   {&script{play: say("UEFI firmware (version x)\r\n  Reboot Into Firmware Interface\r\n  Boot in 3 s.\r\nUEFI firmware (version x)\r\n")}, "loader.no-kernel"},
		"loop past tty":  {&script{play: say(upToKernel + "Linux version 6.1\r\nsystemd[1]: x\r\n[ TIME ] Timed out waiting for device dev-ttyS9.device - /dev/ttyS9.\r\n" + upToKernel)}, "boot.loop"},
		"loop by panic":  {&script{play: say(upToKernel + "Linux version 6.1\r\nKernel panic - not syncing: Requested init /x failed (error -2).\r\n" + upToKernel)}, "kernel.no-init"},
		"switched off":   {&script{play: say(upToKernel + "Linux version 6.1\r\nreboot: Power down\r\n"), exits: true}, "boot.ended"},
		"crash":          {&script{play: say("UEFI firmware (version x)\r\n"), exits: true, stderr: "qemu: ../x.c:12: Assertion `y' failed."}, "qemu.crashed"},
		"deaf":           {&script{play: say(upToKernel + "Linux version 6.1\r\nsystemd[1]: x\r\nhost login: ")}, "boot.login-timeout"},
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

// shell simulates a guest that accepts the login and answers commands.
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
				_, _ = io.WriteString(c, l+"\r\n") // the terminal's echo
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
	}
	if question, out, ok := respond(m[1], "R:"+release+":\r\nN:"+notes+":", "one boot"); ok && strings.Contains(question, "/sys/kernel/notes") {
		return out + "__S_" + m[2] + "_0_E__\r\n"
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
			s := spec(t, &script{play: shell("6.1.192-ingot-1", notesHex)})
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

// A failure that was observed directly keeps its cause, whatever the guest prints.
func TestCertainVerdictsStand(t *testing.T) {
	const output = "\r\n[ TIME ] Timed out waiting for device dev-ttyAMA9.device - /dev/ttyAMA9.\r\nKernel panic - not syncing: is what the docs say\r\nerror: no rule fits this\r\n"
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
			play := func(c2 net.Conn) { noisyShell(c2, output, c.code) }
			s := spec(t, &script{play: play})
			s.Release, s.BuildID, s.Tools = c.release, "fc8ce430649d670f20ac7bb986d43a19a5247ca3", "tools.iso"
			s.Recipe.Smoke.Checks = []target.Check{{Name: "x", Run: "x"}}
			p, err := Prove(context.Background(), s)
			if err != nil || p.Cause != c.want {
				t.Errorf("cause %q (%s), %v; want %s", p.Cause, p.Message, err, c.want)
			}
		})
	}
}

// noisyShell simulates a guest that prints output before each answer; its checks exit
// with the code.
func noisyShell(c net.Conn, output, code string) {
	_, _ = io.WriteString(c, upToKernel+"Linux version 6.1\r\nsystemd[1]: x\r\n\r\nhost login: ")
	in := bufio.NewScanner(c)
	for in.Scan() {
		l := in.Text()
		answer := reply(l, "6.1-ingot", notesHex)
		if m := sentinelCmd.FindStringSubmatch(l); m != nil {
			answer = output + answer
			if strings.Contains(m[1], "/check-") {
				answer = output + "__S_" + m[2] + "_" + code + "_E__\r\n"
			}
		}
		_, _ = io.WriteString(c, l+"\r\n"+answer)
	}
}

// A file whose bytes differ from those of the evidence is not booted.
func TestDigestFirst(t *testing.T) {
	s := spec(t, &script{play: func(net.Conn) { t.Error("it was booted") }})
	s.SHA256 = strings.Repeat("0", 64)
	if p, err := Prove(context.Background(), s); err != nil || p.Cause != "image.digest-changed" || len(p.Boots) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	s.Image = filepath.Join(t.TempDir(), "gone")
	if _, err := Prove(context.Background(), s); cause.Of(err) != "image.missing" {
		t.Errorf("missing file: %v", err)
	}
}

// A proof fails if the image changes during the boot.
func TestDigestAfter(t *testing.T) {
	var s Spec
	play := shell("r", notesHex)
	s = spec(t, &script{play: func(c net.Conn) { _ = os.WriteFile(s.Image, []byte("bent"), 0o600); play(c) }})
	if p, err := Prove(context.Background(), s); err != nil || p.Verdict != evidence.Failed || p.Cause != "image.digest-changed" {
		t.Errorf("%q %q, %v", p.Verdict, p.Cause, err)
	}
}

// A machine that ends because the proof is cancelled says nothing about the image: the
// proof is no failed one.
func TestCancelledLaunch(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := spec(t, booter(func(Request) (Machine, error) {
		cancel()
		return nil, &LaunchError{Stderr: "qemu-system-aarch64: terminating on signal 9", Err: errors.New("signal: killed")}
	}))
	if p, err := Prove(ctx, s); !errors.Is(err, context.Canceled) || p.Verdict != "" {
		t.Errorf("%q, %v", p.Verdict, err)
	}
	if p, err := Prove(context.Background(), s); err != nil || p.Verdict != evidence.Failed {
		t.Errorf("the control: %q, %v", p.Verdict, err)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := spec(t, &script{play: func(c net.Conn) { say(upToKernel)(c); cancel() }})
	if _, err := Prove(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
