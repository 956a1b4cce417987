package run

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/home"
	"ingot/backend/packer"
)

const good = `source "qemu" "vm" {
  iso_url      = "boot.img"
  iso_checksum = "none"
  communicator = "none"
  headless     = true
  accelerator  = "tcg"
}
build { sources = ["source.qemu.vm"] }
`

// fake puts a program packer into the search path. body is its `build`, for a shell whose
// working folder is that of the template.
func fake(t *testing.T, version, body string) {
	t.Helper()
	bin := t.TempDir()
	script := "#!/bin/sh\nif [ \"$1\" = version ]; then echo '" + version + "'; exit; fi\n" + body + "\n"
	if err := os.WriteFile(filepath.Join(bin, "packer"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
}

const current = "Packer v1.6.6"

// prepare prepares a run of a template in a folder of its own.
func prepare(t *testing.T, template string, opt Options) *Run {
	t.Helper()
	r, err := tryPrepare(t, template, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryPrepare(t *testing.T, template string, opt Options) (*Run, error) {
	t.Helper()
	root := t.TempDir()
	opt.Path = filepath.Join(root, "vm.pkr.hcl")
	if err := os.WriteFile(opt.Path, []byte(template), 0o600); err != nil {
		t.Fatal(err)
	}
	opt.Data, opt.Children = filepath.Join(root, "data"), event.Children{Dir: filepath.Join(root, "children")}
	return Prepare(context.Background(), opt)
}

func ignore(string) {}

// machineLines are the lines of the log of Packer 1.6.6 for a build's files.
func machineLines(build string, files ...string) string {
	s := fmt.Sprintf("2026/11/30 23:38:25 machine readable: %s,artifact []string{\"0\", \"builder-id\", \"transcend.qemu\"}\n", build)
	for i, f := range files {
		s += fmt.Sprintf("2026/11/30 23:38:25 machine readable: %s,artifact []string{\"0\", \"file\", \"%d\", %q}\n", build, i, f)
	}
	return s
}

// logs is a shell command that appends to Packer's log.
func logs(text string) string { return "cat >> \"$PACKER_LOG_PATH\" <<'END'\n" + text + "END\n" }

// disks is a shell function: disk FILE makes a raw disk of 1 MiB with an empty partition
// table.
const disks = `disk() { mkdir -p "$(dirname "$1")"; head -c 510 /dev/zero > "$1"; printf '\125\252' >> "$1"; head -c 1048064 /dev/zero >> "$1"; }
`

// A success counts if the disk is there, of this run, and a disk.
func TestSuccess(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want string // the disk, from the template's folder; "" is none
		why  string // that there is none
	}{
		"listed":            {"disk output-vm/packer-vm; " + logs(machineLines("qemu.vm", "output-vm/packer-vm")), "output-vm/packer-vm", ""},
		"of a named build":  {"disk output-vm/packer-vm; " + logs(machineLines("nightly.qemu.vm", "output-vm/packer-vm")), "output-vm/packer-vm", ""},
		"with another disk": {"disk output-vm/packer-vm; disk output-vm/packer-vm-1; " + logs(machineLines("qemu.vm", "output-vm/packer-vm-1", "output-vm/packer-vm")), "output-vm/packer-vm", ""},
		"not listed":        {"disk output-vm/packer-vm", "output-vm/packer-vm", ""},
		"moved":             {"disk out/vm.img; echo x > out/vm.sum; " + logs(machineLines("qemu.vm", "out/vm.img", "out/vm.sum")), "out/vm.img", ""},
		"missing":           {"true", "", "its disk is not there"},
		"listed, missing":   {logs(machineLines("qemu.vm", "output-vm/packer-vm")), "", "its disk is not there"},
		"no disk":           {"mkdir output-vm; head -c 4096 /dev/zero > output-vm/packer-vm; " + logs(machineLines("qemu.vm", "output-vm/packer-vm")), "", "is no disk"},
		"of before":         {"disk output-vm/packer-vm; touch -t 202001010000 output-vm/packer-vm", "", "was not written by this run"},
		"packed":            {"mkdir out; echo x > out/vm.box; " + logs(machineLines("qemu.vm", "out/vm.box")), "", "its file is no disk"},
		"two":               {"disk out/a; disk out/b; " + logs(machineLines("qemu.vm", "out/a", "out/b")), "", "which of its disks is the first is not known"},
		"another builder":   {"disk output-vm/packer-vm; " + logs(machineLines("null.vm")), "", "no build of the builder qemu made a file"},
	} {
		t.Run(name, func(t *testing.T) {
			fake(t, current, disks+c.body)
			r := prepare(t, good, Options{})
			out, err := r.Start(context.Background(), ignore)
			if c.want == "" {
				var none *NoDiskError
				if !errors.As(err, &none) || !strings.Contains(err.Error(), c.why) || out.Passed || cause.ClassOf(err) != cause.Unproven {
					t.Fatalf("%v, want %q; %+v", err, c.why, out)
				}
				return
			}
			if err != nil || !out.Passed || len(out.Disks) != 1 {
				t.Fatalf("%v %+v", err, out)
			}
			content := make([]byte, 1<<20)
			content[510], content[511] = 0x55, 0xaa
			d := out.Disks[0]
			if d.Path != filepath.Join(r.root, c.want) || d.Format != "raw" || d.Bytes != 1<<20 || d.VirtualSize != 1<<20 || d.SHA256 != fmt.Sprintf("%x", sha256.Sum256(content)) || d.Arch != "amd64" {
				t.Errorf("%+v", d)
			}
		})
	}
}

const (
	stderrLine = "2026/11/30 17:00:00 packer-builder-qemu plugin: Started Qemu. Pid: 4242\n2026/11/30 17:00:00 packer-builder-qemu plugin: Qemu stderr: qemu-system-x86_64: invalid accelerator hvf\n"
	failedUI   = "2026/11/30 17:00:00 ui error: ==> qemu.vm: Error launching VM: Qemu failed to start. Please run with PACKER_LOG=1 to get more info.\n"
	errorLine  = `2026/11/30 17:00:00 machine readable: qemu.vm,error []string{"Script exited with non-zero exit status: 3"}` + "\n"
)

// A failure gets the reason of the log: QEMU's message, else Packer's own.
func TestFailure(t *testing.T) {
	for name, c := range map[string]struct {
		body, id, message string
		class             cause.Class
	}{
		"QEMU's message":    {logs(stderrLine + failedUI), "qemu.accel-unavailable", "1 finding", cause.Unproven},
		"no start":          {logs(errorLine), "", "Script exited with non-zero exit status: 3", cause.Step},
		"plain output only": {"echo '1 error(s) occurred:'; echo; echo '* it is broken'", "", "1 error(s) occurred: it is broken", cause.Step},
		"nothing":           {"true", "", "gave no reason", cause.Step},
		"output exists":     {logs("2026/11/30 17:00:00 ui error: Error: 1 error(s) occurred:\n\n* Output directory 'output-vm' already exists. It must not exist.\n"), "packer.output-exists", "1 finding", cause.Unproven},
		"no plugin":         {logs("2026/11/30 17:00:00 ui error: Error: Missing plugins\n\nDid you run packer init for this project ?\n"), "packer.plugin-missing", "1 finding", cause.Unproven},
		"full disk":         {logs("2026/11/30 17:00:00 packer-builder-qemu plugin: stderr: qemu-img: output-vm/packer-vm: error while writing: No space left on device\n"), "packer.no-space", "1 finding", cause.Unproven},
		"full guest":        {logs("2026/11/30 17:00:00 ui:     qemu.vm: qemu-img: error writing 'x': No space left on device\n" + errorLine), "", "exit status: 3", cause.Step},
	} {
		t.Run(name, func(t *testing.T) {
			fake(t, current, c.body+"\nexit 1")
			out, err := prepare(t, good, Options{}).Start(context.Background(), ignore)
			if err == nil || !strings.Contains(err.Error(), c.message) || cause.ClassOf(err) != c.class || out.Passed || out.Ended != "exit status 1" {
				t.Fatalf("%v (%v), want %q (%v); %+v", err, cause.ClassOf(err), c.message, c.class, out)
			}
			var ids []string
			for _, f := range out.After.Findings {
				if f.From == packer.FromLog {
					ids = append(ids, f.ID)
				}
			}
			if got := strings.Join(ids, " "); got != c.id {
				t.Errorf("%q, want %q", got, c.id)
			}
		})
	}
}

// Lines are shown while Packer runs: this one waits for the answer to its first line.
func TestLinesWhilePackerRuns(t *testing.T) {
	fake(t, current, `echo one; n=0
while [ ! -e answer ]; do n=$((n+1)); [ $n -gt 300 ] && exit 7; sleep 0.1; done
printf 'a\rb\r\n\n'; printf 'no end'; exit 3`)
	r := prepare(t, good, Options{})
	var lines []string
	out, err := r.Start(context.Background(), func(line string) {
		if lines = append(lines, line); line == "one" {
			if err := os.WriteFile(filepath.Join(r.root, "answer"), nil, 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	if out == nil || out.Ended != "exit status 3" {
		t.Fatalf("%+v %v", out, err)
	}
	if want := []string{"one", "a", "b", "", "no end"}; !slices.Equal(lines, want) {
		t.Errorf("%q, want %q", lines, want)
	}
	kept, err := os.ReadFile(filepath.Join(out.Folder, "output.log"))
	if err != nil || !strings.HasPrefix(string(kept), "one\n") {
		t.Errorf("%q %v", kept, err)
	}
}

// running reports whether a process runs.
func running(t *testing.T, pid string) bool {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n)) // "" where there is no such file
	return syscall.Kill(n, 0) == nil && !strings.Contains(string(stat), ") Z ")
}

// gone waits for the end of a killed process.
func gone(t *testing.T, pid string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); running(t, pid); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %s still runs", pid)
		}
	}
}

// However Packer ends, nothing of its process group is left, and no record of it.
func TestNothingIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		cancel bool
		ended  string
		clean  bool // Packer had time to clean up
	}{
		"it cleans up":           {`trap 'touch cleaned; exit 1' INT; sleep 600 & echo $!; wait`, true, "exit status 1", true},
		"it ignores the signal":  {`trap '' INT; sleep 600 & echo $!; wait; touch cleaned`, true, "signal: killed", false},
		"it leaves its machine":  {`sleep 600 & echo $!; until [ -e seen ]; do sleep 0.1; done; touch cleaned; exit 1`, false, "exit status 1", true},
		"it is killed by others": {`sleep 600 & echo $!; until [ -e seen ]; do sleep 0.1; done; kill -9 $$`, false, "signal: killed", false},
	} {
		t.Run(name, func(t *testing.T) {
			fake(t, current, c.body)
			r := prepare(t, good, Options{grace: time.Second})
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			pid, records := "", 0
			out, err := r.Start(ctx, func(line string) {
				pid = line
				if !running(t, pid) {
					t.Errorf("the process %s is not there", pid)
				}
				files, _ := os.ReadDir(r.Children.Dir)
				records = len(files)
				if c.cancel {
					cancel()
				} else if err := os.WriteFile(filepath.Join(r.root, "seen"), nil, 0o600); err != nil {
					t.Error(err)
				}
			})
			if err == nil || errors.Is(err, context.Canceled) != c.cancel || (cause.ClassOf(err) == cause.Cancelled) != c.cancel || out.Ended != c.ended || out.Passed {
				t.Fatalf("%v %+v", err, out)
			}
			gone(t, pid)
			if _, err := os.Stat(filepath.Join(r.root, "cleaned")); (err == nil) != c.clean {
				t.Errorf("cleaned: %v", err)
			}
			left, err := os.ReadDir(r.Children.Dir)
			if records != 1 || len(left) != 0 || err != nil {
				t.Errorf("%d records while it ran, then %d, %v", records, len(left), err)
			}
		})
	}
}

// A computer without a Packer that can run the template is told from one with it.
func TestPrograms(t *testing.T) {
	for version, id := range map[string]string{
		"Packer v1.6.6": "", "Packer v1.5.0": "", "Packer v1.14.2": "", "Packer v2.0.0-dev": "",
		"Packer v1.4.5": "packer.too-old", "Packer v0.12.1": "packer.too-old",
		"usage: packer DICTIONARY": "packer.other-program", "": "packer.other-program",
	} {
		t.Run(version, func(t *testing.T) {
			fake(t, version, "exit 1")
			r, err := tryPrepare(t, good, Options{})
			if got := cause.IDOf(err); got != id {
				t.Fatalf("%q (%v), want %q", got, err, id)
			}
			if id == "" && "Packer v"+r.Packer.Version != version || id != "" && cause.ClassOf(err) != cause.Missing {
				t.Errorf("%+v %v", r, err)
			}
		})
	}
	none := func(name string) (string, error) { return "", &home.ToolMissingError{Name: name, Searched: "/nowhere"} }
	if _, err := tryPrepare(t, good, Options{look: none}); cause.IDOf(err) != "packer.missing" || cause.ClassOf(err) != cause.Missing || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("%v", err)
	}
}

// A template that cannot work ends the run before Packer is started, unless it is to run
// anyway, or only some of its builds are.
func TestStopped(t *testing.T) {
	fake(t, current, "exit 1")
	const newer = "source \"qemu\" \"vm\" {\n  iso_url = \"x\"\n  vtpm = true\n}\nbuild { sources = [\"source.qemu.vm\"] }\n" // Packer 1.6.6 has no vtpm
	const refused = good + "nonsense {}\n"
	for name, c := range map[string]struct {
		template string
		opt      Options
		class    cause.Class
		stopped  bool
	}{
		"good":           {good, Options{}, 0, false},
		"refused":        {refused, Options{}, cause.Input, true},
		"refused anyway": {refused, Options{Anyway: true}, 0, false},
		"certain":        {newer, Options{}, cause.Unproven, true},
		"certain anyway": {newer, Options{Anyway: true}, 0, false},
		"one of several": {newer, Options{Args: []string{"-only", "null.x"}}, 0, false},
		"other flags":    {"variable \"only\" {}\n" + newer, Options{Args: []string{"-var", "only=x", "-force"}}, cause.Unproven, true},
	} {
		t.Run(name, func(t *testing.T) {
			err := prepare(t, c.template, c.opt).Stopped()
			if _, missing := home.LookTool("qemu-system-x86_64"); name == "good" && missing != nil {
				t.Skipf("not compared: %v", missing)
			}
			if (err != nil) != c.stopped || err != nil && cause.ClassOf(err) != c.class {
				t.Errorf("%v (%v)", err, cause.ClassOf(err))
			}
		})
	}
	// what is no HCL is for Packer to judge only if the user says so
	if _, err := tryPrepare(t, "source {", Options{}); cause.ClassOf(err) != cause.Input {
		t.Errorf("%v", err)
	}
	if r := prepare(t, "source {", Options{Anyway: true}); r.Unread == nil || r.Stopped() != nil {
		t.Errorf("%+v", r)
	}
}

// Packer gets the user's environment and arguments; what it is given is in no message.
func TestArguments(t *testing.T) {
	t.Setenv("PKR_TEST_SECRET", "of the environment")
	fake(t, current, `[ "$PKR_TEST_SECRET" = "of the environment" ] || exit 9
for a; do printf '[%s]' "$a" >> arguments; done; pwd >> arguments; exit 1`)
	r := prepare(t, "variable \"password\" {}\n"+good, Options{Vars: []string{"password=hunter2"}, Args: []string{"-force", "-var", "password=hunter3"}})
	var printed bytes.Buffer
	out, err := r.Start(context.Background(), func(line string) { printed.WriteString(line) })
	if out == nil || out.Ended != "exit status 1" {
		t.Fatalf("%+v %v", out, err)
	}
	got, rerr := os.ReadFile(filepath.Join(r.root, "arguments"))
	if want := "[build][-color=false][-var][password=hunter2][-force][-var][password=hunter3][vm.pkr.hcl]" + r.root + "\n"; rerr != nil || string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
	if err := json.NewEncoder(&printed).Encode(Message{Diagnosis: r.Before, Outcome: out, Text: err.Error()}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(printed.String(), "hunter") {
		t.Errorf("a secret was printed: %s", printed.String())
	}
}

func TestFlags(t *testing.T) {
	var got []string
	for name, value := range flagsOf([]string{"-force", "-var", "a=b", "--var-file=x", "-only=qemu.a", "-var", "-only", "FILE", "-except"}) {
		got = append(got, name+"="+value)
	}
	if want := []string{"force=", "var=a=b", "var-file=x", "only=qemu.a", "var=-only", "except="}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Two runs of one second have two folders.
func TestFolders(t *testing.T) {
	data, now := filepath.Join(t.TempDir(), "packer"), time.Date(2026, 11, 30, 1, 2, 3, 0, time.UTC)
	for _, want := range []string{"20261130-010203", "20261130-010203-2", "20261130-010203-3"} {
		if got, err := newFolder(data, now); err != nil || filepath.Base(got) != want {
			t.Errorf("%s %v, want %s", got, err, want)
		}
	}
	if err := os.WriteFile(data+"2", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newFolder(data+"2", now); err == nil {
		t.Error("a folder in a file")
	}
}

// The Packer of this computer really runs: its QEMU does not know the accelerator.
func TestRealPacker(t *testing.T) {
	for _, tool := range []string{"packer", "qemu-system-aarch64", "qemu-img"} {
		if _, err := home.LookTool(tool); err != nil {
			t.Skipf("not run: %v", err)
		}
	}
	t.Setenv("CHECKPOINT_DISABLE", "1")
	const template = `source "qemu" "vm" {
  qemu_binary  = "qemu-system-aarch64"
  iso_url      = "boot.img"
  iso_checksum = "none"
  disk_size    = "64M"
  machine_type = "virt"
  accelerator  = "hax"
  communicator = "none"
  headless     = true
  qemuargs     = [["-boot", "strict=off"], ["-cpu", "cortex-a57"]]
}
build { sources = ["source.qemu.vm"] }
`
	r := prepare(t, template, Options{Anyway: true})
	if !strings.HasPrefix(r.Packer.Version, "1.6.") {
		t.Skipf("not run: this is Packer %s, and its plugin may not be installed", r.Packer.Version)
	}
	if err := os.WriteFile(filepath.Join(r.root, "boot.img"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var lines []string
	out, err := r.Start(context.Background(), func(line string) { lines = append(lines, line) })
	var found *packer.FoundError
	if !errors.As(err, &found) || out.After == nil {
		t.Fatalf("%v %+v\n%s", err, out, strings.Join(lines, "\n"))
	}
	measured := func(f packer.Finding) bool {
		return f.ID == "qemu.accel-unavailable" && f.From == packer.FromLog && f.Certainty == packer.Measured && f.Line == 7
	}
	if !slices.ContainsFunc(out.After.Findings, measured) {
		t.Errorf("%+v", out.After.Findings)
	}
	if !slices.ContainsFunc(lines, func(s string) bool { return strings.Contains(s, "Retrieving ISO") }) {
		t.Errorf("%q", lines)
	}
}
