package cause

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fixtures are real logs; want "" means that no cause may be found.
var fixtures = []struct{ file, want string }{
	{"aavmf-blank.serial.log", "firmware.no-esp"},
	{"aavmf-nodisk.serial.log", "firmware.no-disk"},
	{"uefi-empty-esp.serial.log", "firmware.no-loader"},
	{"uboot-prompt.serial.log", "firmware.no-loader"},
	{"panic-no-root.serial.log", "kernel.no-root"},
	{"loader-no-kernel.serial.log", "loader.no-kernel"},
	{"uefi-sdboot-systemd.serial.log", "init.unit-timeout"},
	{"debian-12-arm64-login.serial.log", ""},
	{"debian-12-arm64-uefi-proof.serial.log", ""},
	{"panic-no-root.stderr.log", ""},
	{"qemu-locked-disk.stderr.log", "qemu.disk-locked"},
	{"qemu-missing-firmware.stderr.log", "qemu.firmware-missing"},
	{"qemu-no-hvf.stderr.log", "qemu.accel-unavailable"},
	{"qemu-pflash-size.stderr.log", "qemu.firmware-size"},
	{"qemu-port-in-use.stderr.log", "qemu.port-in-use"},
	{"uefi-empty-esp.stderr.log", ""},
	{"uefi-sdboot-systemd.stderr.log", ""},
}

// packers are logs of a program that ran QEMU; want as in fixtures.
var packers = []struct{ file, want string }{
	{"packer-bootonce.log", "qemu.boot-order-unsupported"},
	{"packer-hvf.log", "qemu.accel-unavailable"},
	{"packer-machinepc.log", "qemu.machine-unsupported"},
	{"packer-nofirmwarefile.log", "qemu.firmware-missing"},
	{"packer-nofw.log", ""},
	{"packer-good.log", ""},
	{"packer-nocpu.log", ""},
}

func pack(t *testing.T) *Pack {
	t.Helper()
	p, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func read(t *testing.T, file string) (Source, string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	src := Serial
	if strings.HasSuffix(file, ".stderr.log") {
		src = Stderr
	}
	return src, string(b)
}

func TestRealLogs(t *testing.T) {
	p := pack(t)
	for _, f := range fixtures {
		t.Run(f.file, func(t *testing.T) {
			src, text := read(t, f.file)
			got, ok := p.Find(src, text)
			if got.ID != f.want {
				t.Fatalf("cause %q (found %v, line %q), want %q", got.ID, ok, got.Line, f.want)
			}
			if ok && (got.Fix == "" || got.Means == "" || got.Line == "") {
				t.Errorf("finding without meaning, fix or line: %+v", got)
			}
		})
	}
}

// A pattern word inside a message is no cause: rules match at line starts.
func TestGoodLogsWithBadWords(t *testing.T) {
	p := pack(t)
	_, good := read(t, "debian-12-arm64-uefi-proof.serial.log")
	for _, line := range []string{
		"cloud-init[10]: the docs say: Kernel panic - not syncing: VFS means a wrong root=",
		"systemd[1]: Started panic: button daemon.",
		"welcome text: Shell> is a prompt",
		"motd: You are in emergency mode is what you never want to read",
	} {
		if got, ok := p.Find(Serial, good+"\n"+line+"\n"); ok {
			t.Errorf("%q gave %s", line, got.ID)
		}
	}
}

// Every id that code names must have a meaning and a fix; ids do not repeat
// with different meanings for the same stream.
func TestEveryRuleIsComplete(t *testing.T) {
	for _, r := range pack(t).Rules {
		if r.ID == "" || r.Means == "" || r.Fix == "" {
			t.Errorf("rule %+v is incomplete", r)
		}
		if len(r.All) > 0 && r.In == "" {
			t.Errorf("rule %s has patterns and no stream", r.ID)
		}
	}
}

// Each rule that reads a text fits its own examples, and not those that only
// look like it.
func TestExamplesOfRules(t *testing.T) {
	p := pack(t)
	for i := range p.Rules {
		r := &p.Rules[i]
		if len(r.All) == 0 {
			continue
		}
		if len(r.Like) == 0 || len(r.Unlike) == 0 {
			t.Errorf("rule %d, %s: it lacks an example", i, r.ID)
		}
		for _, text := range r.Like {
			if _, ok := r.match(console(Lines(text))); !ok {
				t.Errorf("rule %d, %s does not fit %q", i, r.ID, text)
			}
			if got, _ := p.Find(r.In, text); got.ID != r.ID {
				t.Errorf("%q gives %q, not %s: another rule takes it first", text, got.ID, r.ID)
			}
		}
		for _, text := range r.Unlike {
			if line, ok := r.match(console(Lines(text))); ok {
				t.Errorf("rule %d, %s fits %q by %q", i, r.ID, text, line)
			}
		}
	}
}

// Logs that hold the words of a cause and have another one, or none; and prefixes
// that the package does not know, which may hide a cause and must not make one.
func TestNotWhatItLooksLike(t *testing.T) {
	p := pack(t)
	_, good := read(t, "debian-12-arm64-uefi-proof.serial.log")
	_, noRoot := read(t, "panic-no-root.serial.log")
	fallback := "Could not access KVM kernel module: No such file or directory\nqemu-system-aarch64: failed to initialize kvm: No such file or directory\nqemu-system-aarch64: falling back to tcg\n"
	menu := "UEFI firmware (version 2022.11)\nBdsDxe: starting Boot0001 \"UEFI Misc Device\"\n  Debian GNU/Linux 12\n  Reboot Into Firmware Interface\n  Boot in 3 s.\n"
	module := "systemd-modules-load: Failed to load kernel module\n"
	for name, c := range map[string]struct{ text, want string }{
		"a fallback, then a login":           {fallback + good, None},
		"a fallback, then a panic":           {fallback + noRoot, "kernel.no-root"},
		"a fallback, then a lock":            {fallback + "qemu-system-aarch64: -drive file=d: Failed to get \"write\" lock\n", "qemu.disk-locked"},
		"qemu-img inside of the guest":       {good + "\nqemu-img: Could not open '/var/x.qcow2': No such file or directory\n", None},
		"a menu that is cut off":             {menu, Unknown},
		"a menu, then a quiet kernel":        {menu + "[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n", "kernel.no-root"},
		"a menu, then a BSD":                 {menu + "FreeBSD 14.0-RELEASE\nStarting network\n", Unknown},
		"a quiet system's program":           {"Welcome to Alpine Linux 3.19\n\nlocalhost login: \nError opening terminal: unknown.\n", None},
		"a module before a panic":            {module + "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n", "kernel.no-root"},
		"GRUB, then the shell":               {"BdsDxe: starting Boot0001 \"debian\"\nerror: file `/vmlinuz' not found.\nerror: you need to load the kernel first.\nUEFI Interactive Shell v2.2\n      FS0: Alias(s):HD0b:;BLK1:\nShell> ", "loader.no-kernel"},
		"the end of a panic without a root":  {"Call trace:\n---[ end Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0) ]---\n", "kernel.no-root"},
		"the end of a panic without an init": {"Call trace:\n---[ end Kernel panic - not syncing: No working init found. ]---\n", "kernel.no-init"},
		"a failed login":                     {"Failed login: bob\n", Unknown},
		"BSD's prompt":                       {"Starting cron.\n\nlogin: ", None},
		"a host without a name":              {"(none) login: ", None},
		"illumos' prompt":                    {"mini console login: ", None},
		"a prompt after a title":             {"[ TIME ] Timed out waiting for device dev-ttyS9.device\n\x1b]3008;start=1\x1b\\mini login: ", None},
		"ts before a loader's word":          {"Nov 24 10:00:00 Error loading \\vmlinuz: Not Found\n", "loader.no-kernel"},
	} {
		if got := p.Explain(c.text).ID; got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	for _, prefix := range []string{"[2026-11-24 10:00:00] ", "Nov 24 10:00:00 ", "2026-11-24T10:00:00.1+01:00 mini kernel: ", "vm-1  | ", "1795687200.123 ", "11/24/2026 10:00:00 AM ", "> "} {
		prefixed := everyLine(func(_ int, l string) string { return prefix + l })
		if got := p.Explain(prefixed(good + "\n" + module)).ID; got != None && got != Unknown {
			t.Errorf("%q before a good boot: %s", prefix, got)
		}
		if got := p.Explain(prefixed(noRoot)).ID; got != "kernel.no-root" && got != Unknown {
			t.Errorf("%q before a panic: %s", prefix, got)
		}
	}
}

// answers are the explanations that a text made of the fixture may have.
func answers(want string) []string {
	if want == "" {
		return []string{None, Unknown}
	}
	return []string{want, Unknown}
}

// What logs suffer on their way must not lead to a wrong cause: the right one,
// or unknown.
func TestMutations(t *testing.T) {
	p := pack(t)
	whole := map[string]func(string) string{
		"as it is": func(s string) string { return s },
		"CRLF":     func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"ANSI":     everyLine(func(_ int, l string) string { return "\x1b[0m\x1b[1;32m" + l + "\x1b[0m" }),
		"kernel":   everyLine(func(i int, l string) string { return fmt.Sprintf("[%5d.%06d] %s", i/10, i, l) }),
		"RFC 3339": everyLine(func(i int, l string) string { return fmt.Sprintf("2026-11-24T10:%02d:%02d.123Z %s", i/60%60, i%60, l) }),
		"syslog": everyLine(func(i int, l string) string {
			return fmt.Sprintf("Nov 24 10:%02d:%02d mini kernel: %s", i/60%60, i%60, l)
		}),
		"clock": everyLine(func(i int, l string) string { return fmt.Sprintf("[10:%02d:%02d] %s", i/60%60, i%60, l) }),
		"Packer": everyLine(func(_ int, l string) string {
			return "2026/11/24 03:22:01 packer-builder-qemu plugin: Qemu stderr: " + l
		}),
		"blank line": everyLine(func(_ int, l string) string { return l + "\n\n" }),
	}
	all := slices.Concat(fixtures, packers)
	for i, f := range all {
		_, text := read(t, f.file)
		for name, change := range whole {
			got := p.Explain(change(text)).ID
			if f.want != "" && got != f.want || f.want == "" && got != None && got != Unknown {
				t.Errorf("%s, %s: %q, want %q", f.file, name, got, f.want)
			}
		}
		for _, at := range cuts(text) {
			if got := p.Explain(text[:at]).ID; !slices.Contains(answers(f.want), got) {
				t.Errorf("%s cut at byte %d: %q, want %q", f.file, at, got, f.want)
			}
			right := answers(f.want)
			if f.want == "kernel.no-root" {
				right = append(right, "kernel.panic") // of the panic's own line only the beginning may be gone
			}
			if got := p.Explain(text[at:]).ID; !slices.Contains(right, got) {
				t.Errorf("%s from byte %d on: %q, want %q", f.file, at, got, f.want)
			}
		}
		for j, other := range all {
			_, second := read(t, other.file)
			mixed := map[string]string{"line by line": interleave(text, second), "one after the other": text + "\n" + second}
			for _, size := range []int{13, 64}[:2*min(1, max(0, j-i))] { // once a pair
				mixed[fmt.Sprintf("%d bytes each", size)] = chunks(text, second, size)
			}
			right := append(answers(f.want), answers(other.want)...)
			if slices.Contains(right, "kernel.no-root") {
				right = append(right, "kernel.panic") // a mixed line may have lost what the panic was about
			}
			for name, text := range mixed {
				if got := p.Explain(text).ID; !slices.Contains(right, got) {
					t.Errorf("%s with %s, %s: %q", f.file, other.file, name, got)
				}
			}
		}
	}
}

// cuts are places where a log may end: spread over it, and every byte of the
// lines that tell something.
func cuts(text string) []int {
	var at []int
	for i := range 20 {
		at = append(at, len(text)*i/20+i)
	}
	start := 0
	for line := range strings.Lines(text) {
		if telling.MatchString(line) {
			for i := 0; i < len(line); i += 3 {
				at = append(at, start+i)
			}
		}
		start += len(line)
	}
	for i := range at {
		at[i] = min(at[i], len(text))
	}
	return at
}

var telling = regexp.MustCompile(`panic|VFS: |Shell>|FS\d:|BLK\d:|login:|Timed out|qemu-system-\S+: |No mapping`)

// chunks mixes two texts as two writers of one console do: a few bytes each.
func chunks(a, b string, size int) string {
	var out strings.Builder
	for a != "" || b != "" {
		n, m := min(size, len(a)), min(size, len(b))
		out.WriteString(a[:n] + b[:m])
		a, b = a[n:], b[m:]
	}
	return out.String()
}

func everyLine(change func(int, string) string) func(string) string {
	return func(s string) string {
		lines := strings.Split(s, "\n")
		for i, l := range lines {
			lines[i] = change(i, l)
		}
		return strings.Join(lines, "\n")
	}
}

func interleave(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	var out []string
	for i := range max(len(x), len(y)) {
		if i < len(x) {
			out = append(out, x[i])
		}
		if i < len(y) {
			out = append(out, y[i])
		}
	}
	return strings.Join(out, "\n")
}

// The log of a program that ran QEMU holds QEMU's words.
func TestPackerLogs(t *testing.T) {
	p := pack(t)
	for _, f := range packers {
		want := f.want
		if want == "" {
			want = Unknown
		}
		_, text := read(t, f.file)
		if got := p.Explain(text); got.ID != want || want == Unknown && len(got.Tail) == 0 {
			t.Errorf("%s: %+v, want %s", f.file, got, want)
		}
	}
}

// Words of a cause inside a good boot's messages are none; the words of the
// guest are not QEMU's.
func TestGoodLogsStayGood(t *testing.T) {
	p := pack(t)
	for _, file := range []string{"debian-12-arm64-uefi-proof.serial.log", "debian-12-arm64-login.serial.log"} {
		_, good := read(t, file)
		for _, line := range []string{
			"cloud-init[10]: kernel panic, Shell> and login: are words",
			"sshd[300]: error: Bind to port 22 on 0.0.0.0 failed: Address already in use.",
			"systemd[1]: Started panic: button daemon.",
			"nginx[2]: Could not open '/etc/x': No such file or directory",
			"app[9]: Segmentation fault",
			"The word login: in a message, then Shell> in the same",
			"panic: runtime error: index out of range [3] with length 3",
			"(initramfs) tools: nothing to do",
			"You are in emergency mode is a string of systemd",
			"FS0: is where the firmware looks first",
			"Shell>",
			"db> ",
			"mountroot> ",
		} {
			for place, text := range map[string]string{"before": line + "\n" + good, "at the end of": good + "\n" + line + "\n"} {
				if got := p.Explain(text).ID; got != None {
					t.Errorf("%q %s %s: %s", line, place, file, got)
				}
			}
		}
	}
}

// What a system said before its login prompt did not keep it from coming up;
// what it said after may have ended it.
func TestLoginPromptEndsCauses(t *testing.T) {
	p := pack(t)
	const prompt = "\nhost login: "
	for i := range p.Rules {
		r := &p.Rules[i]
		for _, like := range r.Like {
			if r.In != Serial {
				continue
			}
			if got := p.Explain(like + prompt).ID; got != None {
				t.Errorf("%s, then a prompt: %s: %q", r.ID, got, like)
			}
			if f, ok := p.FindFatal(like + prompt); ok {
				t.Errorf("%s, then a prompt: fatal %s", r.ID, f.ID)
			}
		}
	}
	for _, after := range []string{"\nKernel panic - not syncing: x\n", "[    9.1] Kernel panic - not syncing: x\n[    9.2] ---[ end Kernel panic - not syncing: x ]---\n"} {
		if got := p.Explain("Linux version 6.1" + prompt + after).ID; got != "kernel.panic" {
			t.Errorf("a panic after the prompt: %s", got)
		}
	}
}

// FuzzFind: no input may panic the reader or name a cause the pack lacks. The
// seeds are the ends of real logs: a run costs as much as its text is long.
func FuzzFind(f *testing.F) {
	const seedSize, longest = 256, 512
	for _, fx := range fixtures {
		b, err := os.ReadFile(filepath.Join("testdata", fx.file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b[max(0, len(b)-seedSize):]))
	}
	p, err := Shipped()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = text[:min(len(text), longest)]
		if got := p.Explain(text).ID; got != None && got != Unknown {
			if _, known := p.Describe(got); !known {
				t.Fatalf("unknown cause %q", got)
			}
		}
		for _, src := range []Source{Serial, Stderr} {
			if got, ok := p.Find(src, text); ok {
				if _, known := p.Describe(got.ID); !known {
					t.Fatalf("unknown cause %q", got.ID)
				}
			}
		}
	})
}
