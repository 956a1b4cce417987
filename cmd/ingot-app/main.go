package main

import (
	"fmt"
	"os"
)

func main() {
	route := ""
	if len(os.Args) > 2 {
		route = os.Args[2]
	}
	if err := runWindow(route); err != nil {
		fmt.Fprintln(os.Stderr, "ingot-app:", err)
		os.Exit(1)
	}
}
