package window

import (
	"context"

	"ingot/backend"
)

// ledger stands in for a home's ledger.
type ledger struct {
	rows []backend.Row
	arts []backend.ArtifactInfo
}

func (l *ledger) Evidence(context.Context, string) (backend.Document, error) {
	return backend.Document{}, nil
}
func (l *ledger) BuildFile(backend.Document, backend.File) (string, error) { return "", nil }
func (l *ledger) Builds(string) ([]backend.BuildInfo, error)               { return nil, nil }
func (l *ledger) Journal(string, string) ([]backend.Event, error)          { return nil, nil }
func (l *ledger) LogFiles(string, string) ([]string, error)                { return nil, nil }
func (l *ledger) Artifacts(context.Context) ([]backend.ArtifactInfo, error) {
	return l.arts, nil
}
func (l *ledger) RecipeText(t string) (string, string, error) {
	return "resources/targets/" + t + ".yaml", "name: " + t + "\nos: debian\n", nil
}
func (l *ledger) Describe(c string) (backend.Finding, bool) {
	return backend.Finding{ID: c, Means: "the kernel hangs", Fix: "look at the serial log"}, true
}
func (l *ledger) Doctor(context.Context, ...string) (backend.Report, error) {
	return backend.Report{Checks: []backend.Check{{Name: "qemu-system-aarch64", OK: true, Why: "boots what was built: the proof"}, {Name: "mmdebstrap", Why: "makes the root file system", Install: "apt-get install mmdebstrap"}}, Install: []string{"apt-get install -y mmdebstrap"}}, nil
}
func (l *ledger) Settings() Settings {
	return Settings{Config: "/home/me/.config/ingot", Data: "/home/me/.local/share/ingot", Cache: "/home/me/.cache/ingot", ConfigFile: "/home/me/.config/ingot/config.yaml", Keys: "the keychain", Version: "dev"}
}
func (l *ledger) Explain(string) (backend.Explanation, error) { return backend.Explanation{}, nil }
