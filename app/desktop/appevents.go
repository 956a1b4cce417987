package desktop

// AppEvents are what the system tells a running program on macOS. The functions are
// called on the main thread and must not block.
type AppEvents struct {
	Reopened func()                  // the user has launched the program again, which starts no second process
	MenuDone func()                  // the menu was closed
	Open     func(linkOrFile string) // a link of Ingot's scheme, or the path of a file, was opened
}
