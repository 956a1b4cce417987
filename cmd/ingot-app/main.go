// Command ingot-app is Ingot in the menu bar. Without arguments it is the menu:
// an icon, clicks and notifications, without a window. `ingot-app window
// [ROUTE]` is the window; the menu starts it, and its process ends when it is
// closed. Both are clients of the owner, `ingot`, which must be installed
// beside this program.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"ingot/app"
	"ingot/backend/api"
)

const usage = `usage: ingot-app                 the icon in the menu bar; a second one opens the window
       ingot-app window [ROUTE]  the window: reality, builds, targets, artifacts, settings
       ingot-app open LINK|FILE  shows a link, ingot://ROUTE, or checks an image or a log
       ingot-app --version
`

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	switch {
	case len(args) == 0, strings.HasPrefix(args[0], "-psn_"): // argument of Finder before macOS 10.9
		return runMenu("")
	case args[0] == "--selfcheck" && len(args) == 2: // of scripts/mac-proof.sh
		return runMenu(args[1])
	case args[0] == "open" && len(args) > 1:
		return runOpen(args[1:])
	case args[0] == "window" && len(args) <= 2:
		return runWindow(append(args[1:], app.RouteLast)[0])
	case args[0] == "owner":
		return noOwner()
	case args[0] == "--version":
		fmt.Println("ingot-app " + api.Version)
		return 0
	case args[0] == "--help" || args[0] == "-h":
		fmt.Print(usage)
		return 0
	}
	fmt.Fprintf(os.Stderr, "ingot-app: unknown arguments %q\n%s", strings.Join(args, " "), usage)
	return 2
}

// noOwner answers a client that started this program as the owner, because
// `ingot` is not installed beside it. It uses the protocol of owner.Serve, on
// descriptor 3.
func noOwner() int {
	const msg = "`ingot` is missing beside ingot-app: install both into one folder"
	fmt.Fprintln(os.Stderr, "ingot-app: "+msg)
	out := os.NewFile(3, "ready")
	_ = json.NewEncoder(out).Encode(map[string]string{"error": msg, "class": api.ClassMissing.String()}) // the client may have disconnected
	_ = out.Close()
	return 3
}
