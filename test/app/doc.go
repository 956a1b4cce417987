// Package app holds the tests of the desktop face against a real desktop: an X
// server, a session bus, a notification daemon, a window manager and a file
// manager from Debian, and a host for the tray icon of our own: `make e2e-app`,
// which installs what is missing and gives the tests a bus of their own.
package app
