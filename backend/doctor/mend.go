package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"ingot/backend"
	"ingot/backend/cause"
	"ingot/backend/guest"
	"ingot/backend/home"
)

// Mend installs what building and proving the named targets lacks here, all targets
// without names: first what this computer lacks, then what the guest lacks, for which it
// makes and starts the forge VM if builds run there and there is none. out gets what is
// being done and the output of the commands, in lines. in is their standard
// input, for questions such as that of sudo for a password; it is nil without a terminal,
// and if sudo needs a password then, Mend returns a *PasswordError.
// When ctx is done, what runs is interrupted, and Mend returns when it has ended. It
// returns the report of afterwards, or with an error the last one that it had.
func Mend(ctx context.Context, b *backend.Backend, in io.Reader, out io.Writer, targets ...string) (Report, error) {
	rep, err := Examine(ctx, b, targets...)
	if err != nil || rep.OK() {
		return rep, err
	}
	root := os.Getuid() == 0
	for _, command := range rep.Install {
		fmt.Fprintf(out, "+ %s\n", command)
		if err := install(ctx, command, root, in, out); err != nil {
			return rep, err
		}
	}
	return mendGuest(ctx, b, rep, out, targets)
}

// CanMend reports whether Mend has something to do: what is missing may be something that
// no command installs.
func (r Report) CanMend() bool {
	return len(r.Install) > 0 || len(r.InGuest) > 0 || r.NeedsForge()
}

// mendGuest is the part of Mend in the guest; rep is the report from before the commands
// on this computer.
func mendGuest(ctx context.Context, b *backend.Backend, rep Report, out io.Writer, targets []string) (Report, error) {
	examine := func() (err error) {
		r, err := Examine(ctx, b, targets...)
		if err == nil {
			rep = r
		}
		return err
	}
	inGuest := func() error {
		if err := installInGuest(ctx, b, rep.InGuest, out); err != nil {
			return err
		}
		return examine()
	}
	if len(rep.Install) > 0 { // limactl may be there now
		if err := examine(); err != nil {
			return rep, err
		}
	}
	if !rep.NeedsForge() {
		err := inGuest()
		return rep, err
	}
	err := withForge(ctx, b, func(what string) { fmt.Fprintln(out, what) }, func() error {
		if err := examine(); err != nil {
			return err
		}
		return inGuest()
	})
	return rep, err
}

// installInGuest runs the report's commands in the guest, as root or through sudo without
// a password.
func installInGuest(ctx context.Context, b *backend.Backend, commands []string, out io.Writer) error {
	if len(commands) == 0 {
		return nil
	}
	g, err := b.OpenGuest(ctx, func(what string) { fmt.Fprintln(out, what) })
	if err != nil {
		return err
	}
	defer g.Close()
	for _, c := range commands {
		fmt.Fprintf(out, "%s: + %s\n", g.Name(), c)
		if err := guest.Install(ctx, g, c, out); err != nil {
			return err
		}
	}
	return nil
}

// ErrNoHomebrew reports that a Mac has neither Homebrew nor MacPorts.
var ErrNoHomebrew = cause.With("host.no-homebrew", errors.New("this Mac has neither Homebrew nor MacPorts, which install QEMU and Lima"))

// PasswordError reports that sudo needs a password and there is no terminal to enter it.
type PasswordError struct {
	Command string // that needs root
}

func (e *PasswordError) Error() string {
	return "sudo asks for a password, which cannot be typed here: run `ingot doctor --install` in a terminal (it needs root for: " + e.Command + ")"
}

// ErrorClass sorts the error; see package cause.
func (*PasswordError) ErrorClass() cause.Class { return cause.Missing }

// install runs one of a report's commands, as root or through sudo. Programs are looked
// for as in home.SearchPath, so that Homebrew is found though PATH does not name it.
func install(ctx context.Context, command string, root bool, in io.Reader, out io.Writer) error {
	argv := []string{"sh", "-c", command}
	brew := strings.HasPrefix(command, "brew ")
	if _, err := home.LookTool("brew"); brew && err != nil {
		return ErrNoHomebrew
	}
	if !root && !brew {
		sudo, err := sudo(ctx, command, in == nil)
		if err != nil {
			return err
		}
		argv = append(sudo, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive", "PATH="+home.SearchPath())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, out
	if in == nil {
		apart(cmd)
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

// sudo returns the words before a command that needs root. Without a terminal it first
// tests whether sudo works without a password.
func sudo(ctx context.Context, command string, noTerminal bool) ([]string, error) {
	program, err := home.LookTool("sudo")
	if err != nil {
		return nil, fmt.Errorf("run as root: %s", command)
	}
	if !noTerminal {
		return []string{"sudo"}, nil
	}
	if err := exec.CommandContext(ctx, program, "-n", "true").Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &PasswordError{command}
	}
	return []string{program, "-n"}, nil
}

// apart runs a command that has no terminal in a process group of its own, which is
// interrupted when the command's context is done. A package manager that is changing the
// system ignores that, as it does Ctrl-C in a terminal, and Wait returns when it is done.
// A user may not signal what sudo started: sudo does it.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		group := -cmd.Process.Pid
		err := syscall.Kill(group, syscall.SIGINT)
		if errors.Is(err, syscall.EPERM) {
			err = exec.Command(cmd.Args[0], "-n", "kill", "-s", "INT", "--", fmt.Sprint(group)).Run()
		}
		return err
	}
}
