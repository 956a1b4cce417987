package cause

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Programs that run QEMU print its words in forms of their own:
//
//	Lima          {"level":"debug","msg":"qemu[stderr]: qemu-system-aarch64: …"}, or time="…" level=debug msg="…"
//	Packer        2026/11/24 03:22:01 packer-plugin-qemu_v1.1.4 plugin: Qemu stderr: qemu-system-aarch64: …
//	Podman        Error: qemu exited unexpectedly with exit code -1, stderr: qemu-system-aarch64: …
//	minikube      creating host: create: creating: qemu-system-aarch64: …: exit status 1
//	Multipass     launch failed: instance "x" failed to start: qemu-system-aarch64: …
//	libvirt       internal error: process exited while connecting to monitor: 2026-11-24T10:00:00.1Z qemu-kvm: …
//	Vagrant, UTM  stderr: qemu-system-aarch64: …, QEMU error: QEMU exited from an error: qemu-aarch64-softmmu: …
//
// In all of them QEMU's name and a colon stand before its words.
const (
	toolNames   = `qemu-(?:img|nbd|io|storage-daemon)`
	systemNames = `qemu-system-[\w-]+|qemu-kvm|qemu-\w+-softmmu|QEMULauncher`
	shortNames  = `qemu|kvm`
	beforeName  = `(?:\S*/)?` // a path
	afterName   = `(?:\.exe)?(?:\[\d+\])?: `
)

var (
	// qemuWords are QEMU's name and words, wherever they stand in a line.
	qemuWords = lazy(`(?:^|[\s"'(|>=:])(` + beforeName + `(?:` + toolNames + `|` + systemNames + `|` + shortNames + `)` + afterName + `.*)$`)
	// systemWords are those of a line that begins with the name of a whole emulator.
	systemWords = lazy(`^` + beforeName + `(?:` + systemNames + `)` + afterName)
	// commandLine is a program's record of a command that it runs.
	commandLine = lazy(`^\S+: \[\]string\{`)

	// wrapped are forms whose inner line is QEMU's or a program's that ran it.
	qemuStream = lazy(`^(?:\[hostagent\] )?(?:qemu\[std(?:err|out)\]: |Qemu std(?:err|out): )`)
	logfmtMsg  = lazy(`^time=\S+ level=\w+ msg=("(?:[^"\\]|\\.)*"|\S+)(.*)$`)
	klogPrefix = lazy(`^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ \S+:\d+\] `)

	// hostOutput are lines about QEMU that do not begin with its name: its own, those of
	// the dynamic linker, of the shell that started it, and of libvirt and other
	// programs that look at the host before they start it.
	hostOutput = lazy(`^(\*\*$|ERROR:\.\./\S+\.c:\d+:|Bail out! ERROR:|Assertion failed: \(.*\), function \w+, file \S+\.c, line \d+` +
		`|Could not access KVM kernel module|ioctl\(KVM_CREATE_VM\) failed|Is another process using the image|Use -machine help|Unable to find CPU definition` +
		`|dyld(\[\d+\])?: |\s+Referenced from: |\s+Reason: (image not found|tried: )|QEMU: Terminated` +
		`|\S*:?.*(killed|Killed: 9|command not found|not found|No such file or directory|bad CPU type in executable|cannot execute binary file|Abort trap|abort)\b.*\bqemu-(system-|img)\w*` +
		`|\S*/?qemu-system-\S+: (command )?not found|Termination Reason: +(Namespace )?(CODESIGNING|SIGNAL)|Exception Type: +EXC_\w+ .*(Code Signature Invalid|SIGKILL)` +
		`|.*(exec: "qemu-\S+": executable file not found|fork/exec \S*qemu-\S+: (no such file|bad CPU type|permission denied))` +
		`|(error: |ERROR +)?(internal error|unsupported configuration|operation failed|invalid argument|Cannot access storage file|Failed to start domain|Unable to find)\b` +
		`|.*(Cannot access storage file|could not find capabilities for|does not support virt type|[Uu]nable to find .*firmware|KVM support is not enabled|CPU does not support KVM|Could not access KVM kernel module)` +
		`)`)

	// hostUp are what programs that run QEMU say when the guest answers.
	hostUp = lazy(`(Connected to (SSH|WinRM)!|READY\. Run .limactl|Machine booted and ready!|Machine "\S+" started successfully|Done! kubectl is now configured|^Build '\S+' finished after|VM is up and running|^Launched: \S+$)`)
)

// unwrap returns the lines inside of a record of a log in JSON or logfmt; ok is
// false for another line.
func unwrap(line string) (inner []string, ok bool) {
	line = strings.TrimSpace(line)
	line = klogPrefix().ReplaceAllString(line, "")
	if strings.HasPrefix(line, `{"`) {
		var record struct{ Msg, Message, Log, Error string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			return nil, false
		}
		for _, s := range []string{record.Msg, record.Message, record.Log, record.Error} {
			if s != "" {
				inner = append(inner, strings.Split(s, "\n")...)
			}
		}
		return inner, len(inner) > 0
	}
	if m := logfmtMsg().FindStringSubmatch(line); m != nil {
		msg, err := strconv.Unquote(m[1])
		if err != nil {
			msg = m[1]
		}
		return append(strings.Split(msg, "\n"), m[2]), true
	}
	return nil, false
}

// wordsOf returns what QEMU, or a program about it, says in a line, beginning with
// the program's name where that is known. Once the guest speaks, the line must begin with the
// name of a whole emulator: what else it holds may be a guest's program.
func wordsOf(line string, inGuest bool) (words string, ok bool) {
	line = qemuStream().ReplaceAllString(line, "")
	if !mentionsQEMU(line) {
		return line, false
	}
	if inGuest {
		return line, systemWords().MatchString(line) || strings.HasPrefix(line, "QEMU: Terminated") || assertion().MatchString(line)
	}
	if m := qemuWords().FindStringSubmatch(line); m != nil {
		return m[1], !commandLine().MatchString(m[1])
	}
	return line, hostOutput().MatchString(line)
}

// mentionsQEMU is a quick look whether wordsOf may find anything.
func mentionsQEMU(line string) bool {
	return slices.ContainsFunc([]string{"emu", "QEMU", "kvm", "KVM", "**", "ERROR:", "rror: ", "ERROR ", "Assertion", "dyld", "Is another", "-machine help", "Unable to", "unable to", "Referenced", "Reason", "Termination", "Exception Type", "storage file", "capabilities", "virt type"},
		func(s string) bool { return strings.Contains(line, s) })
}

// assertion are the lines of an assertion of QEMU's that fails.
var assertion = lazy(`^(\*\*$|ERROR:\.\./\S+\.c:\d+:|Bail out! ERROR:)`)
