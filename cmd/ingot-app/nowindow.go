//go:build !window

package main

import (
	"fmt"
	"os"
	"syscall"

	"ingot/app/desktop"
)

// runWindow starts the program that has the window: this program is built
// without it, since linking the toolkit would cost the menu 26 MB of memory.
func runWindow(route string) int {
	program, args, err := desktop.WindowProgram()
	if self, serr := os.Executable(); err == nil && serr == nil && program != self {
		err = syscall.Exec(program, append(append([]string{program}, args...), route), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "ingot-app: no window in this build: `make app` makes ingot-window, which must be installed beside it", errorText(err))
	return 1
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return "(" + err.Error() + ")"
}
