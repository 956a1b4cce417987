package desktop

import (
	"fmt"
	"slices"
	"strings"
)

// terminals are programs that run a command in a window, each with the
// arguments before the command: Debian's alternative, those of desktops, and
// others that are often installed.
var terminals = [][]string{{"x-terminal-emulator", "-e"}, {"gnome-terminal", "--"}, {"konsole", "-e"}, {"xfce4-terminal", "-x"}, {"kitty"}, {"alacritty", "-e"}, {"foot"}, {"xterm", "-e"}}

// terminalFor returns the command, preceded by the first terminal program that
// exists; found reports whether a program exists.
func terminalFor(argv []string, found func(string) bool) ([]string, error) {
	var names []string
	for _, t := range terminals {
		if found(t[0]) {
			return append(slices.Clone(t), argv...), nil
		}
		names = append(names, t[0])
	}
	return nil, fmt.Errorf("no terminal program was found (looked for %s): run it yourself: %s", strings.Join(names, ", "), strings.Join(argv, " "))
}

// commandFile returns a script for Terminal on macOS, whose file name must end
// in .command. It removes itself and then executes the command.
func commandFile(argv, vars []string) string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\nrm -f -- \"$0\"\n")
	for _, kv := range vars {
		name, value, _ := strings.Cut(kv, "=")
		fmt.Fprintf(&b, "export %s=%s\n", name, quoted(value))
	}
	b.WriteString("exec")
	for _, a := range argv {
		b.WriteString(" " + quoted(a))
	}
	return b.String() + "\n"
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
