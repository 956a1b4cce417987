package window

import (
	"context"

	"ingot/app"
	"ingot/backend"
)

// ledger answers what views read: from a real home where there is one, else
// with little.
type ledger struct {
	real     *backend.Backend
	rows     []backend.Row
	arts     []backend.ArtifactInfo
	journal  []backend.Event // of any build
	progress *backend.Event  // sent after the snapshot
	settings Settings
	workers  []Worker
	prefs    app.Preferences
}

func (l *ledger) Evidence(ctx context.Context, id string) (backend.Document, error) {
	if l.real == nil {
		return backend.Document{}, nil
	}
	return l.real.Evidence(ctx, id)
}

func (l *ledger) BuildFile(d backend.Document, f backend.File) (string, error) {
	if l.real == nil {
		return "", nil
	}
	return l.real.BuildFile(d, f)
}

func (l *ledger) Builds(target string) ([]backend.BuildInfo, error) {
	if l.real == nil {
		return nil, nil
	}
	return l.real.Builds(target)
}

func (l *ledger) Journal(target, id string) ([]backend.Event, error) {
	if l.real == nil {
		return l.journal, nil
	}
	return l.real.Journal(target, id)
}

func (l *ledger) LogFiles(target, id string) ([]string, error) {
	if l.real == nil {
		return nil, nil
	}
	return l.real.LogFiles(target, id)
}

func (l *ledger) Artifacts(ctx context.Context) ([]backend.ArtifactInfo, error) {
	if l.real == nil {
		return l.arts, nil
	}
	return l.real.Artifacts(ctx)
}

func (l *ledger) RecipeText(t string) (string, string, error) {
	if l.real == nil {
		return "resources/targets/" + t + ".yaml", "name: " + t + "\n", nil
	}
	return l.real.RecipeText(t)
}

func (l *ledger) Describe(c string) (backend.Finding, bool) {
	if l.real == nil {
		return backend.Finding{ID: c, Means: "The kernel hangs", Fix: "Look at the serial log."}, true
	}
	return l.real.Describe(c)
}

// Doctor is no matter of the ledger, and differs from machine to machine.
func (l *ledger) Doctor(context.Context, ...string) (backend.Report, error) {
	return backend.Report{Checks: []backend.Check{{Name: "qemu-system-aarch64", OK: true, Why: "boots what was built: the proof"}, {Name: "mmdebstrap", Why: "makes the root file system", Install: "apt-get install mmdebstrap"}}, Install: []string{"apt-get install -y mmdebstrap"}}, nil
}

func (l *ledger) Settings() Settings {
	s := l.settings
	s.Config, s.Data, s.Cache, s.ConfigFile, s.Version = "/home/me/.config/ingot", "/home/me/.local/share/ingot", "/home/me/.cache/ingot", "/home/me/.config/ingot/config.yaml", "dev"
	return s
}

func (l *ledger) Workers(context.Context) ([]Worker, error) { return l.workers, nil }

func (l *ledger) Preferences() app.Preferences { return l.prefs }

func (l *ledger) Explain(text string) (backend.Explanation, error) { return backend.Explain(text) }
