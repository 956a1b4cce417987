package main

import (
	"fmt"
	"os"
)

// runWindow is the window's role, at a route of package app. It returns an exit
// code.
func runWindow(string) int {
	fmt.Fprintln(os.Stderr, "ingot-app: no window in this build")
	return 1
}
