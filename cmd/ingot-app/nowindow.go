//go:build !cgo

package main

import (
	"fmt"
	"os"
)

// runWindow says that this program was built without the window: its toolkit
// needs a C compiler.
func runWindow(string) int {
	fmt.Fprintln(os.Stderr, "ingot-app: no window in this build: it was built with CGO_ENABLED=0; `make app` builds it whole")
	return 1
}
