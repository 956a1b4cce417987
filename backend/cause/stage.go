package cause

import "sync"

// stage is how far a boot has come when a line is printed. A cause of an earlier
// stage is void if the console shows a later stage after it: the boot went on.
type stage int

const (
	anyStage stage = iota // rules of this stage are never void
	firmwareStage
	loaderStage
	kernelStage
	initrdStage
	initStage
)

// stageNames are the values of a rule's stage; a rule without one has that of its
// id's first word.
var stageNames = map[string]stage{"firmware": firmwareStage, "loader": loaderStage, "kernel": kernelStage, "initrd": initrdStage, "init": initStage, "any": anyStage}

// marks are lines that only a stage prints, the latest stage first.
var marks = []struct {
	stage stage
	line  func() pattern
}{
	// after the root file system is in use
	{initStage, mark(`^(INIT: version \d|\s*OpenRC \S+ is starting up|<<< NixOS Stage 2 >>>|systemd(\[1\])?: Switching root|procd: - init -` +
		`|(systemd\[1\]: |\[\s*OK\s*\] )?(Reached target|Started|Finished) .*(Multi-User|multi-user|Graphical Interface|graphical\.target|OpenSSH|ssh\.service|sshd\.service|[Ll]ogin [Ss]erv)` +
		`|Starting (sshd|cron|syslogd|inetd|network)\b|starting network$|Setting hostname:|cloud-init\[\d+\]: Cloud-init v` +
		`|=> ?Initializing system|- runit: enter stage: 2|Welcome to \S.*!$|svc\.startd\[\d+\]: )`)},
	{initrdStage, mark(`^(Loading, please wait\.\.\.|Begin: |Alpine Init \d|dracut(-\w+)?(\[\d+\])?: |<<< NixOS Stage 1 >>>|:: running early hook|Run /init as init process)`)},
	{kernelStage, mark(`^(Booting Linux on|Linux version \d|EFI stub: (Booting|Exiting|Using DTB)|Uncompressing Linux|Copyright \(c\) .*(FreeBSD Project|NetBSD Foundation|OpenBSD|Regents)` +
		`|(OpenBSD|NetBSD|FreeBSD) \d+\.\d|\S+ Version \S+ 64-bit$|SunOS Release|Oxide Helios|\[ using \d+ bytes of bsd ELF symbol table \])`)},
	{loaderStage, mark(`^(GRUB loading|Welcome to GRUB|\s*GNU GRUB\s+version|systemd-boot \d|Loading Linux |>> ?(OpenBSD|NetBSD|FreeBSD)/|(FreeBSD|illumos)/\S+ EFI loader|ISOLINUX |SYSLINUX |Booting [` + "`" + `\[])`)},
}

// mark is lazy for a pattern.
func mark(expr string) func() pattern {
	return sync.OnceValue(func() pattern {
		p, err := compilePattern(expr)
		if err != nil {
			panic(err)
		}
		return p
	})
}

func stageOf(line string) stage {
	for _, m := range marks {
		if m.line().match(line) {
			return m.stage
		}
	}
	return anyStage
}

// wentOn tells whether a later stage than s speaks in the lines.
func wentOn(lines []string, s stage) bool {
	for _, l := range lines {
		if stageOf(l) > s {
			return true
		}
	}
	return false
}
