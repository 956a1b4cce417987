package platform

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"ingot/backend/home"
	"ingot/backend/qemu"
)

// askTimeout is how long a program may take to print a list or its version.
const askTimeout = 20 * time.Second

// Here describes this computer. It runs the emulators that are asked for, each once for
// a list, and once per accelerator that is asked for. folder is where relative paths of
// the template are looked for besides the working folder.
func Here(ctx context.Context, folder string) *Platform {
	p := &Platform{OS: runtime.GOOS, Arch: runtime.GOARCH, Title: "this computer", DevKVM: No, port: portFree}
	if f, err := os.Open("/dev/kvm"); err == nil {
		_ = f.Close()
		p.DevKVM = Yes
	}
	if out, err := ask(ctx, "packer", "version"); err == nil {
		p.Packer = versionOf(out)
	}
	var mu sync.Mutex
	known := map[string]Emulator{}
	p.emulator = func(ctx context.Context, binary string) Emulator {
		mu.Lock()
		defer mu.Unlock()
		e, ok := known[binary]
		if !ok {
			e = probeEmulator(ctx, binary)
			known[binary] = e
		}
		return e
	}
	p.file = func(name string, rom bool) File { return fileHere(ctx, name, rom, folder) }
	return p
}

var version = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

func versionOf(out string) string { return version.FindString(out) }

// ask runs a program of the search path and returns what it prints.
func ask(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	path, err := look(program)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(home.WithoutSecrets(os.Environ()), "CHECKPOINT_DISABLE=1") // Packer looks for updates
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	return string(out), err
}

// look returns a program's path: it may be given as one, or as a name of the search path.
func look(program string) (string, error) {
	if strings.ContainsRune(program, os.PathSeparator) {
		return exec.LookPath(program)
	}
	return home.LookTool(program)
}

// emulatorName is the name of a program of QEMU. A template names any program as its
// qemu_binary, and no other one is run.
var emulatorName = regexp.MustCompile(`^qemu-(system-[a-z0-9_]+|kvm)$`)

func sameFile(a, b string) bool {
	x, xerr := os.Stat(a)
	y, yerr := os.Stat(b)
	return xerr == nil && yerr == nil && os.SameFile(x, y)
}

func probeEmulator(ctx context.Context, binary string) Emulator {
	path, err := look(binary)
	if err != nil {
		return Emulator{Found: No}
	}
	if own, err := home.LookTool(filepath.Base(binary)); err != nil || !sameFile(own, path) || !emulatorName.MatchString(filepath.Base(binary)) {
		return Emulator{Found: NotKnown} // not the one of the search path: it may be of the template's author
	}
	out, err := ask(ctx, path, "--version")
	if err != nil || !strings.Contains(out, "QEMU") {
		return Emulator{Found: NotKnown}
	}
	e := Emulator{Found: Yes, Version: versionOf(out)}
	list := func(option string) string {
		out, _ := ask(ctx, path, "-"+option, "help") // "" is an empty list, of which nothing is concluded
		return out
	}
	e.Machines = whole(firstWords(list("machine"), "Supported machines"))
	e.CPUs = whole(cpuNames(list("cpu")))
	if len(e.CPUs.Accepted) > 0 {
		e.CPUs.Accepted = append(e.CPUs.Accepted, "max") // host depends on the accelerator
	}
	e.Displays = whole(firstWords(list("display"), "Available display"))
	built := whole(firstWords(list("accel"), "Accelerators"))
	results := map[string]string{}
	var mu sync.Mutex
	e.accel = func(name string) (Answer, string) {
		switch built.Has(name) {
		case NotKnown:
			return NotKnown, ""
		case No:
			return No, binary + " was built without " + name
		}
		mu.Lock()
		defer mu.Unlock()
		why, done := results[name]
		if !done {
			why = runAccel(ctx, path, name)
			results[name] = why
		}
		if why != "" {
			return No, why
		}
		return Yes, ""
	}
	return e
}

// runAccel starts a small guest under an accelerator and returns why that fails. An
// emulator for which there is no such guest is not run.
func runAccel(ctx context.Context, program, name string) string {
	arch := GuestArch(program)
	if arch == "" || name == "tcg" {
		return ""
	}
	if err := qemu.Probe(ctx, qemu.Host{Arch: arch, Program: program}, name); err != nil {
		return err.Error()
	}
	return ""
}

func whole(names []string) Names { return Names{Accepted: names, Whole: len(names) > 0} }

// firstWords returns the first word of each line after the one that begins with title.
func firstWords(out, title string) (words []string) {
	started := false
	for line := range strings.Lines(out) {
		if !started {
			started = strings.HasPrefix(line, title)
			continue
		}
		if f := strings.Fields(line); len(f) > 0 && !strings.HasPrefix(f[0], "qemu") {
			words = append(words, f[0])
		}
	}
	return words
}

// cpuNames reads the output of -cpu help. Emulators of x86 before QEMU 9.1 write x86
// before each name, and those of arm64 two spaces.
func cpuNames(out string) (names []string) {
	started := false
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "Available CPUs"):
			started = true
		case len(f) == 0, strings.HasPrefix(line, "Recognized"):
			started = started && len(names) == 0
		case started && f[0] == "x86" && len(f) > 1:
			names = append(names, f[1])
		case started:
			names = append(names, f[0])
		}
	}
	return names
}

func fileHere(ctx context.Context, name string, rom bool, folder string) File {
	candidates := []string{name}
	if !filepath.IsAbs(name) {
		candidates = append(candidates, filepath.Join(folder, name))
		if rom {
			for _, dir := range dataFolders(ctx) {
				candidates = append(candidates, filepath.Join(dir, name))
			}
		}
	}
	for _, c := range candidates {
		if info, err := os.Stat(c); err == nil && info.Mode().IsRegular() {
			return File{Found: Yes, Size: info.Size()}
		}
	}
	return File{Found: No}
}

// dataFolders returns the folders in which this computer's QEMU looks for ROMs.
func dataFolders(ctx context.Context) []string {
	for _, binary := range []string{"qemu-system-aarch64", "qemu-system-x86_64"} {
		if out, err := ask(ctx, binary, "-L", "help"); err == nil {
			return strings.Fields(out)
		}
	}
	return nil
}

// portFree reports whether a TCP port of 127.0.0.1 can be listened on.
func portFree(port int) Answer {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return No
	}
	_ = l.Close()
	return Yes
}
