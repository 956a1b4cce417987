//go:build !cgo

package main

import (
	"fmt"
	"os"
)

// runWindow is the window's role in a program built without cgo, which the
// window's toolkit needs on every platform.
func runWindow(string) int {
	fmt.Fprintln(os.Stderr, "ingot-app: no window in this build: it was made with CGO_ENABLED=0; `make app` makes one that has it")
	return 1
}
