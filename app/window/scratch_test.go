package window

import (
	"image/png"
	"os"
	"testing"
	"time"

	"ingot/backend"
)

func TestScratch(t *testing.T) {
	c := func(s backend.State, cause string) backend.Cell { return backend.Cell{State: s, Cause: cause, Evidence: "proof-1", At: time.Unix(1.8e9, 0)} }
	rows := []backend.Row{
		{Target: "debian-12-arm64", Title: "Debian 12", Configured: c(backend.Passed, ""), Guest: c(backend.Passed, ""), Kernel: c(backend.Passed, ""), Exported: c(backend.Passed, ""), Boots: c(backend.Passed, ""), Published: backend.Cell{State: backend.Passed, Note: "local only"}},
		{Target: "debian-13-arm64", Title: "Debian 13", Configured: c(backend.Passed, ""), Guest: c(backend.Passed, ""), Kernel: c(backend.Running, ""), Exported: c(backend.Stale, "config.changed"), Boots: c(backend.Failed, "kernel.hang"), Published: c(backend.Cancelled, "")},
		{Target: "debian-12-amd64", Title: "Debian 12"},
	}
	arts := []backend.ArtifactInfo{{Target: "debian-12-arm64", Name: "debian-12-server-arm64-20260102.qcow2", Path: "/x", Size: 500 << 20, Allocated: 400 << 20, SHA256: "0123456789abcdef", Boots: backend.Passed, Proof: "proof-1", URL: "http://x", Template: "http://x/lima.yaml", Local: true}}
	p := &played{ledger: &ledger{rows: rows, arts: arts}, news: make(chan func(backend.Watcher))}
	for _, r := range []string{"reality/debian-13-arm64", "builds", "targets/debian-12-arm64", "artifacts", "notary", "settings"} {
		t.Run(r, func(t *testing.T) {
			w := shown(t, p, r, backend.Snapshot{Rows: rows, Owner: backend.OwnerInfo{Builds: []backend.ActiveBuild{{ID: "20260102-000000-abcd", Target: "debian-13-arm64", Step: "kernel", Started: time.Unix(1.8e9, 0)}}}},
				backend.Event{Kind: backend.EventProgress, Build: "20260102-000000-abcd", Target: "debian-13-arm64", Step: "kernel", Done: 30, Total: 100, ETA: 300})
			img := settled(t, w)
			f, _ := os.Create("/tmp/shot-" + r[:5] + ".png")
			_ = png.Encode(f, img)
			_ = f.Close()
		})
	}
}
