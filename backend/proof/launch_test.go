package proof

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ingot/backend/cause"
	"ingot/backend/evidence"
)

// booter is a function as a Booter.
type booter func(req Request) (Machine, error)

func (b booter) Boot(_ context.Context, req Request) (Machine, error) { return b(req) }

func (booter) Distrust(context.Context, string, string) {}

// distrusting keeps what it is told.
type distrusting struct {
	booter
	told *[]string
}

func (d distrusting) Distrust(_ context.Context, accelerator, cause string) {
	*d.told = append(*d.told, accelerator+" "+cause)
}

// screened is a machine with an accelerator and a screen.
type screened struct {
	Machine
	accel string
}

func (s screened) Record() Record {
	return Record{Argv: []string{"script", "-accel", s.accel}, Accelerator: s.accel}
}

func (s screened) Screendump(_ context.Context, file string) error {
	return os.WriteFile(file, []byte("a picture"), 0o600)
}

// on boots the script on the accelerator of the request, or else on accel.
func on(t *testing.T, m *script, req Request, accel string) Machine {
	t.Helper()
	if req.Accel != "" {
		accel = req.Accel
	}
	machine, err := m.Boot(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return screened{machine, accel}
}

// A machine that does not start is a failed proof, with its command line and QEMU's
// message; any other error of a booter gives no verdict on the file.
func TestMachineThatDoesNotStart(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		cause string
		line  string
	}{
		"a known reason":   {&LaunchError{Record: Record{Argv: []string{"qemu"}, QEMU: "7.2"}, Stderr: "qemu: could not open 'x': No such file\nqemu: Could not access KVM kernel module: Permission denied\n", Err: errors.New("exit 1")}, "qemu.accel-unavailable", "qemu: Could not access KVM kernel module: Permission denied"},
		"an unknown one":   {&LaunchError{Record: Record{Argv: []string{"qemu"}, QEMU: "7.2"}, Stderr: "something\nno rule knows this\n", Err: errors.New("exit 1")}, "qemu.failed", "no rule knows this"},
		"nothing was said": {&LaunchError{Record: Record{Argv: []string{"qemu"}, QEMU: "7.2"}, Err: errors.New("exit 1")}, "qemu.failed", ""},
	} {
		s := spec(t, booter(func(Request) (Machine, error) { return nil, c.err }))
		p, err := Prove(t.Context(), s)
		if err != nil || p.Verdict != evidence.Failed || p.Cause != c.cause || len(p.Boots) != 1 || !strings.HasPrefix(p.Message, "QEMU did not start: ") {
			t.Errorf("%s: %q %q (%s), %v", name, p.Verdict, p.Cause, p.Message, err)
			continue
		}
		if b := p.Boots[0]; b.Line != c.line || !slices.Equal(b.Argv, []string{"qemu"}) || b.QEMU != "7.2" || b.Serial.Name == "" || b.Screenshot != nil {
			t.Errorf("%s: recorded %+v", name, b)
		}
	}
	full := errors.New("no space left")
	if p, err := Prove(t.Context(), spec(t, booter(func(Request) (Machine, error) { return nil, full }))); !errors.Is(err, full) || p.Verdict != "" {
		t.Errorf("another error: %q, %v", p.Verdict, err)
	}
	launch := &LaunchError{Err: full}
	if !errors.Is(launch, full) || !strings.Contains(launch.Error(), "no space left") {
		t.Errorf("%v", launch)
	}
}

// A machine that hangs on a hardware accelerator is tried again under TCG, and the
// record has both; a failure that was observed directly is not repeated.
func TestTriedAgainUnderTCG(t *testing.T) {
	hang, boots := say(upToKernel+"Linux version 6.1\r\n"), shell("6.1", notesHex)
	for name, c := range map[string]struct {
		kvm, tcg func(net.Conn)
		verdict  evidence.Verdict
		cause    string
		accels   string // of the boots
		tried    string // in the record of the first boot
	}{
		"TCG boots":     {hang, boots, evidence.Passed, "", "kvm tcg kvm tcg", "kvm: boot.hang"},
		"neither boots": {hang, hang, evidence.Failed, "boot.hang", "kvm tcg", "kvm: boot.hang"},
		"a sure cause":  {say(upToKernel + "Linux version 6.1\r\nKernel panic - not syncing: x\r\n"), boots, evidence.Failed, "kernel.panic", "kvm", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var accels, notices, told []string
			s := spec(t, distrusting{booter(func(req Request) (Machine, error) {
				play, accel := c.kvm, "kvm"
				if req.Accel == "tcg" {
					play, accel = c.tcg, "tcg"
				}
				accels = append(accels, accel)
				return on(t, &script{play: play}, req, "kvm"), nil
			}), &told})
			s.Notify = func(msg string) { notices = append(notices, msg) }
			p, err := Prove(t.Context(), s)
			if err != nil || p.Verdict != c.verdict || p.Cause != c.cause {
				t.Fatalf("%q %q (%s), %v", p.Verdict, p.Cause, p.Message, err)
			}
			if got := strings.Join(accels, " "); got != c.accels {
				t.Errorf("booted on %s, want %s", got, c.accels)
			}
			first := p.Boots[0]
			if got := strings.Join(first.Tried, ", "); got != c.tried || c.tried != "" && first.Accelerator != "tcg" {
				t.Errorf("the record of %s says it tried %q, want %q", first.Accelerator, got, c.tried)
			}
			if distrusted := len(told) > 0 && told[0] == "kvm boot.hang"; distrusted != (c.verdict == evidence.Passed) {
				t.Errorf("distrusted: %q", told)
			}
			if again := slices.Contains(notices, "boot.hang under kvm; trying again under TCG"); again != (c.tried != "") {
				t.Errorf("notices: %q", notices)
			}
		})
	}
}

// The screenshot is recorded beside the log, with its digest.
func TestScreenshotIsKept(t *testing.T) {
	s := spec(t, nil)
	s.Booter = booter(func(req Request) (Machine, error) {
		return on(t, &script{play: say(upToKernel + "Linux version 6.1\r\nKernel panic - not syncing: x\r\n")}, req, "tcg"), nil
	})
	p, err := Prove(t.Context(), s)
	if err != nil || len(p.Boots) != 1 || p.Boots[0].Screenshot == nil {
		t.Fatalf("%+v, %v", p, err)
	}
	shot := p.Boots[0].Screenshot
	if b, err := os.ReadFile(filepath.Join(s.Dir, shot.Name)); err != nil || string(b) != "a picture" || shot.Size != 9 || len(shot.SHA256) != 64 || !strings.HasPrefix(shot.Name, "logs/screen-seeded-") {
		t.Errorf("%q in %+v, %v", b, shot, err)
	}
}

// If a file cannot be read, or the folder of the logs cannot be created, no proof is
// made and there is no verdict.
func TestNoVerdictWithoutFiles(t *testing.T) {
	s := spec(t, &script{play: func(net.Conn) { t.Error("it was booted") }})
	file := s.Image
	s.Image = filepath.Dir(s.Image)
	if p, err := Prove(t.Context(), s); cause.Of(err) != "image.unreadable" || p.Verdict != "" {
		t.Errorf("a folder: %q, %v", p.Verdict, err)
	}
	s.Image, s.Dir = file, file
	if p, err := Prove(t.Context(), s); err == nil || p.Verdict != "" || !strings.Contains(err.Error(), file) {
		t.Errorf("no place for the log: %q, %v", p.Verdict, err)
	}
}

// A timed booter reports the end of each machine once, and a machine that did not
// start.
func TestTimed(t *testing.T) {
	n := 0
	ended := func(began time.Time) {
		if n++; time.Since(began) < 0 || time.Since(began) > time.Minute {
			t.Errorf("it began at %s", began)
		}
	}
	m, err := Timed(&script{play: say("")}, ended).Boot(t.Context(), Request{})
	if err != nil || n != 0 {
		t.Fatalf("%d ends before the end, %v", n, err)
	}
	m.Kill()
	m.Kill()
	if n != 1 {
		t.Errorf("%d ends of one machine", n)
	}
	if _, err := Timed(booter(func(Request) (Machine, error) { return nil, errors.New("no") }), ended).Boot(t.Context(), Request{}); err == nil || n != 2 {
		t.Errorf("%d ends, %v", n, err)
	}
}
