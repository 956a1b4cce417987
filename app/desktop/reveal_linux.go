package desktop

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"

	"github.com/godbus/dbus/v5"
)

// Reveal shows a file, selected, in the file manager over
// org.freedesktop.FileManager1. If no file manager has that interface, it opens
// the folder with xdg-open.
func Reveal(ctx context.Context, file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return fmt.Errorf("show %s: %w", file, err)
	}
	conn, err := dbus.ConnectSessionBus(dbus.WithContext(ctx))
	if err == nil {
		defer conn.Close()
		err = conn.Object("org.freedesktop.FileManager1", "/org/freedesktop/FileManager1").
			CallWithContext(ctx, "org.freedesktop.FileManager1.ShowItems", 0, []string{fileURI(file)}, "").Err
	}
	if err == nil {
		return nil
	}
	if xerr := exec.CommandContext(ctx, "xdg-open", filepath.Dir(file)).Run(); xerr != nil {
		return fmt.Errorf("show %s in a file manager: %w", file, errors.Join(err, xerr))
	}
	return nil
}

// fileURI returns an absolute path as a URI (RFC 8089).
func fileURI(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }

// OpenFile opens a file with the user's program for its type.
func OpenFile(ctx context.Context, file string) error {
	if err := exec.CommandContext(ctx, "xdg-open", file).Run(); err != nil {
		return fmt.Errorf("open %s: xdg-open: %w", file, err)
	}
	return nil
}
