//go:build e2e_lima

package lima

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"time"

	"ingot/backend/guest"
	"ingot/backend/guest/lima"
	"ingot/backend/image"
)

// TestSanitise: a copy of the shared instance, with secrets live and deleted in
// it, is sanitised and shut down; the scan of its disk then finds nothing that
// blocks. Before, it does (TestExport).
func TestSanitise(t *testing.T) {
	const name = "clean"
	plant(t, running(t))
	stopped(t)
	must(t, "vm", "clone", vm, name)
	t.Cleanup(func() { ingot(t, "vm", "delete", name, "--force", "--yes", name) })
	must(t, "vm", "start", name)
	g, err := lima.Open(context.Background(), found(t, name))
	if err != nil {
		t.Fatal(err)
	}
	// of what people put anywhere nobody but they knows; once deleted, it is ours
	if err := g.Run(context.Background(), guest.Cmd{Argv: []string{"sudo", "rm", "/srv/live"}}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var said bytes.Buffer
	if err := image.Sanitise(context.Background(), g, &said); err != nil {
		t.Errorf("%v\n%s", err, &said)
	}
	t.Logf("sanitised after %.0f s\n%s", time.Since(began).Seconds(), &said)
	_ = g.Close()
	must(t, "vm", "stop", name)
	e := exportOf(t, name, "-o", filepath.Join(t.TempDir(), "clean-amd64.qcow2"))
	for _, f := range e.Leaks.Findings {
		if f.Severity == "blocks" {
			t.Errorf("left: %s %s %s", f.Rule, f.In, f.Path)
		} else {
			t.Logf("note: %s %s %s", f.Rule, f.In, f.Path)
		}
	}
	wantSound(t, e.File)
}
