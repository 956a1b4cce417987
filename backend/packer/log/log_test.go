package log

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"ingot/backend/packer/command"
)

// idsOf returns the ids of causes, sorted.
func idsOf(causes []Cause) (ids []string) {
	for _, c := range causes {
		if !slices.Contains(ids, c.ID) {
			ids = append(ids, c.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func logOf(t *testing.T, text string) *Log {
	t.Helper()
	l, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const (
	started  = "2026/11/28 17:00:00 packer-plugin-qemu_v1.1.4 plugin: Started Qemu. Pid: 4242\n"
	failedUI = "2026/11/28 17:00:00 ui error: ==> qemu.vm: Error launching VM: Qemu failed to start. Please run with PACKER_LOG=1 to get more info.\n"
	vncUI    = "2026/11/28 17:00:03 ui error: ==> qemu.vm: Error connecting to VNC: dial tcp 127.0.0.1:5936: connect: connection refused\n"
	sshUI    = "2026/11/28 17:20:03 ui error: ==> qemu.vm: Timeout waiting for SSH.\n"
)

func stderrLine(s string) string {
	return "2026/11/28 17:00:00 packer-plugin-qemu_v1.1.4 plugin: Qemu stderr: " + s + "\n"
}

// Each log of Packer 1.6.6 gets the cause that QEMU wrote, at the template's line.
func TestLogsOfPacker(t *testing.T) {
	for name, want := range map[string][]string{
		"bootonce": {"qemu.boot-order-unsupported"}, "hvf": {"qemu.accel-unavailable"}, "machinepc": {"qemu.machine-unsupported"},
		"nofirmwarefile": {"qemu.firmware-missing"}, "gtk": {"qemu.display-unsupported"}, "cocoa": {"qemu.display-unsupported"},
		"winrm": {"qemu.accel-unavailable"}, "image": {"qemu.accel-unavailable"}, "good": nil, "nocpu": nil, "nofw": nil, "cocoa-plain": {"qemu.failed"},
	} {
		l, err := ReadFile("../testdata/logs/" + name + ".log")
		if err != nil {
			t.Fatal(err)
		}
		if got := idsOf(l.Causes()); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// What QEMU wrote comes before what Packer wrote of it.
func TestLogFindings(t *testing.T) {
	for name, c := range map[string]struct {
		log  string
		want []string
	}{
		"stderr":                {started + stderrLine("qemu-system-aarch64: invalid accelerator hvf") + failedUI, []string{"qemu.accel-unavailable"}},
		"slow computer":         {started + stderrLine("qemu-system-aarch64: unable to find CPU model 'host'") + vncUI, []string{"qemu.cpu-unknown"}},
		"VNC is late":           {started + vncUI, []string{"packer.vnc-late"}},
		"no message":            {started + failedUI, []string{"qemu.failed"}},
		"plain":                 {"\x1b[1;31m==> qemu.vm: Error launching VM: Qemu failed to start. Please run with PACKER_LOG=1 to get more info.\x1b[0m\n", []string{"qemu.failed"}},
		"plain, VNC":            {"==> qemu.vm: Error connecting to VNC: dial tcp 127.0.0.1:5936: connect: connection refused\n", []string{"qemu.failed"}},
		"a message of no rule":  {started + stderrLine("qemu-system-aarch64: something new") + failedUI, []string{"qemu.failed"}},
		"only a warning":        {started + stderrLine("qemu-system-aarch64: warning: 'cirrus' VGA is deprecated") + sshUI, nil},
		"no driver":             {"2026/11/28 17:00:00 ui error: Build 'qemu.vm' errored after 1 second: Failed creating Qemu driver: exec: \"qemu-system-aarch64\": executable file not found in $PATH\n", []string{"qemu.binary-missing"}},
		"unsupported argument":  {"Error: Unsupported argument\n\n  on netbsd.pkr.hcl line 18:\n  (source code not available)\n", []string{"packer.argument-unknown"}},
		"several":               {started + stderrLine("qemu-system-aarch64: invalid accelerator hvf") + failedUI + started + stderrLine("qemu-system-aarch64: -display cocoa: Parameter 'type' does not accept value 'cocoa'") + failedUI, []string{"qemu.accel-unavailable", "qemu.display-unsupported"}},
		"twice the same":        {strings.Repeat(started+stderrLine("qemu-system-aarch64: invalid accelerator hvf")+failedUI, 2), []string{"qemu.accel-unavailable"}},
		"it ran":                {started + "Connected to VNC desktop: QEMU (vm)\n" + sshUI, nil},
		"empty":                 {"", nil},
		"no log of Packer":      {"hello\nworld\n", nil},
		"Windows' line ends":    {strings.ReplaceAll(started+stderrLine("qemu-system-aarch64: invalid accelerator hvf")+failedUI, "\n", "\r\n"), []string{"qemu.accel-unavailable"}},
		"a fallback that works": {started + stderrLine("qemu-system-aarch64: invalid accelerator kvm") + stderrLine("qemu-system-aarch64: falling back to tcg") + "Connected to VNC desktop: QEMU (vm)\n" + sshUI, nil},
	} {
		got := idsOf(logOf(t, c.log).Causes())
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// The finding of a log names its line, and the one of an argument the template's line.
func TestLogLines(t *testing.T) {
	f := logOf(t, started+"noise\n"+stderrLine("qemu-system-aarch64: invalid accelerator hvf")+failedUI).Causes()
	if len(f) != 1 || f[0].Line != 3 || !f[0].Sure {
		t.Errorf("%+v", f)
	}
	f = logOf(t, "Error: Unsupported argument\n\n  on a.pkr.hcl line 18:\n").Causes()
	if len(f) != 1 || f[0].File != "a.pkr.hcl" || f[0].FileLine != 18 {
		t.Errorf("%+v", f)
	}
}

// Of a log of 10 MB with lines of any length only the messages are kept.
func TestLargeLog(t *testing.T) {
	var b strings.Builder
	b.WriteString(strings.Repeat("x", 3<<20) + "\n") // one line of 3 MiB
	for b.Len() < 10<<20 {
		fmt.Fprintf(&b, "2026/11/28 17:00:00 packer-plugin-qemu plugin: [DEBUG] %s\n", strings.Repeat("noise ", 30))
	}
	for range 3 * maxMessages {
		b.WriteString(stderrLine("qemu-system-aarch64: warning: noise"))
	}
	for range 2 * maxLaunches {
		b.WriteString(started + stderrLine("qemu-system-aarch64: invalid accelerator hvf") + failedUI)
	}
	text := b.String()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := logOf(t, text)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes were kept", grown)
	}
	if got := idsOf(l.Causes()); !slices.Equal(got, []string{"qemu.accel-unavailable"}) || !l.cut {
		t.Errorf("%v, cut %v", got, l.cut)
	}
	if !strings.Contains(l.Summary(), "only the first 200") {
		t.Error(l.Summary())
	}
}

func TestLogErrors(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if _, err := ReadFile(path); err == nil {
			t.Errorf("%s was read", path)
		}
	}
}

func FuzzLog(f *testing.F) {
	for _, file := range []string{"../testdata/logs/hvf.log", "../testdata/logs/good.log", "../testdata/logs/cocoa-plain.log", "../testdata/cases/host-in-chain.log"} {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add(`Executing qemu-system-aarch64: []string{"-cpu", "a\`)
	f.Add("Error: Unsupported argument\n on x line 99999999999999999999:\n")
	f.Add(started + stderrLine("\x00\xff") + vncUI)
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Read(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = l.Causes(), l.Summary()
		for _, c := range l.Unmatched() {
			_ = command.Command{}.Resolved(c.Argv).Argv()
		}
	})
}
