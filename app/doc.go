// Package app has what the menu and the window of the desktop app share. The
// app stores no state of its own: it is a client of the owner.
package app
