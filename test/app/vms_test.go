//go:build e2e

package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The menu lists the user's Lima instances and follows the store; what limactl
// refuses is said in the menu, and the page shows the same.
func TestVMs(t *testing.T) {
	h := newHome(t)
	store := filepath.Join(h.dir, "lima")
	if err := os.CopyFS(store, os.DirFS("../../backend/guest/lima/testdata/v2.2.0")); err != nil {
		t.Fatal(err)
	}
	h.write(t, "bin/limactl", "#!/bin/sh\n[ \"$1\" = --version ] && { echo limactl version 2.2.0; exit; }\necho '{\"level\":\"fatal\",\"msg\":\"this limactl starts nothing\"}' >&2\nexit 1\n")
	if err := os.Chmod(filepath.Join(h.bin, "limactl"), 0o700); err != nil {
		t.Fatal(err)
	}
	startDaemon(t)
	panel := startHost(t)
	env := append(h.env(), "LIMA_HOME="+store, "PATH="+h.bin+":"+os.Getenv("PATH"))
	app := start(t, env, filepath.Join(h.bin, "ingot-app"))
	icon := panel.icon(t)
	panel.await(t, icon, "VMs · 0 of 4 running", "started2 · Stopped")
	if s := panel.await(t, icon, "VMs", "started2", "Open Shell"); s.enabled() {
		t.Error("a shell in a stopped instance")
	}
	// another program deletes one
	if err := os.RemoveAll(filepath.Join(store, "noimage2")); err != nil {
		t.Fatal(err)
	}
	panel.await(t, icon, "VMs · 0 of 3 running")
	panel.click(t, icon, panel.await(t, icon, "VMs", "started2", "Start"))
	panel.await(t, icon, "✗ limactl start --timeout=15m0s started2: this limactl starts nothing")
	panel.click(t, icon, panel.await(t, icon, "VMs", "Show VMs"))
	until(t, "the window's route", func() bool { return strings.Contains(app.says.String(), "route=vms") })
	w, ok := awaitWindow(t, h)
	if !ok {
		return
	}
	w.drawn(t, "vms")
	// a VM with a disk becomes an image: the menu opens the sheet in the window
	disk := filepath.Join(store, "started2", "disk")
	if err := os.RemoveAll(disk); err != nil {
		t.Fatal(err)
	}
	run(t, "/sbin/mke2fs", "-q", "-t", "ext4", disk, "8M")
	panel.click(t, icon, panel.await(t, icon, "VMs", "started2", "Make Image…"))
	until(t, "the sheet's route", func() bool { return strings.Contains(app.says.String(), "route=vms/started2/image") })
	w.drawn(t, "vm-page")
	time.Sleep(2 * time.Second) // the disk is looked at; there is no text to wait for
	w.drawn(t, "vm-image")
}
