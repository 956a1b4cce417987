package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"ingot/app"
	"ingot/app/desktop"
)

// runOpen shows links and files in the window: what the desktop runs for them.
func runOpen(items []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code := 0
	for _, item := range items {
		if err := openItem(ctx, item); err != nil {
			fmt.Fprintln(os.Stderr, "ingot-app:", err)
			code = 2
		}
	}
	return code
}

// openItem shows what a link of Ingot's scheme names, or checks a file: an image boots,
// a log is explained.
func openItem(ctx context.Context, item string) error {
	if strings.HasPrefix(item, app.Scheme+":") {
		route, err := app.RouteOfLink(item)
		if err != nil {
			return err
		}
		_, err = desktop.OpenWindow(ctx, route)
		return err
	}
	file, err := fileOf(item)
	if err != nil {
		return err
	}
	if _, err := desktop.OpenWindow(ctx, app.RouteCheck); err != nil {
		return err
	}
	answer, err := desktop.Ask(ctx, desktop.WindowRole, desktop.RequestOpen+" "+file)
	if err == nil && answer != "ok" {
		err = errors.New(answer)
	}
	return err
}

// fileOf returns the absolute path of a file, which may be written as an address.
func fileOf(item string) (string, error) {
	path := item
	if strings.HasPrefix(item, "file:") {
		u, err := url.Parse(item)
		if err != nil || u.Host != "" && u.Host != "localhost" {
			return "", fmt.Errorf("%q is not a file on this computer", item)
		}
		path = u.Path
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || strings.ContainsAny(path, "\r\n") {
		return "", fmt.Errorf("%q is not a file that can be checked", path)
	}
	return path, nil
}
