//go:build !window

package main

import (
	"fmt"
	"os"
	"syscall"

	"ingot/app/desktop"
)

// runWindow hands the window's role to the program that has it: this one is
// built without, since the window's toolkit costs the menu 26 MB by being
// linked in.
func runWindow(route string) int {
	program, args, err := desktop.WindowProgram()
	if self, serr := os.Executable(); err == nil && serr == nil && program != self {
		err = syscall.Exec(program, append(append([]string{program}, args...), route), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "ingot-app: no window in this build: `make app` makes ingot-window, which lies beside it", errorText(err))
	return 1
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return "(" + err.Error() + ")"
}
