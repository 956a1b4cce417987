// Package app is the desktop face of Ingot: the menu-bar item and its windows.
// It holds no state of its own and is only a client of package backend.
package app
