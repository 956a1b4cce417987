package window

import (
	"context"
	"strings"

	"ingot/app"
	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/doctor"
	"ingot/backend/status"
	"ingot/backend/vm"
)

// ledger answers what views read: from a real home where there is one, else
// with little.
type ledger struct {
	real     *backend.Backend
	rows     []api.Row
	arts     []status.ArtifactInfo
	journal  []api.Event // of any build
	progress *api.Event  // sent after the snapshot
	settings Settings
	workers  []Worker
	prefs    app.Preferences
	report   func() doctor.Report // nil: lackingReport
	link     doctor.Link
	linked   func() doctor.Link // nil: link
	builds   []status.BuildInfo // of any target
	guests   vm.Guests
}

func (l *ledger) Evidence(ctx context.Context, id string) (api.Document, error) {
	if l.real == nil {
		return api.Document{}, nil
	}
	return l.real.Evidence(ctx, id)
}

func (l *ledger) BuildFile(d api.Document, f api.File) (string, error) {
	if l.real == nil {
		return "", nil
	}
	return status.BuildFile(l.real, d, f)
}

func (l *ledger) Builds(target string) ([]status.BuildInfo, error) {
	if l.real == nil {
		return l.builds, nil
	}
	return status.Builds(l.real, target)
}

func (l *ledger) Journal(target, id string) ([]api.Event, error) {
	if l.real == nil {
		return l.journal, nil
	}
	return status.Journal(l.real, target, id)
}

func (l *ledger) LogFiles(target, id string) ([]string, error) {
	if l.real == nil {
		return nil, nil
	}
	return status.LogFiles(l.real, target, id)
}

func (l *ledger) Artifacts(ctx context.Context) ([]status.ArtifactInfo, error) {
	if l.real == nil || l.arts != nil {
		return l.arts, nil
	}
	return status.Artifacts(ctx, l.real)
}

func (l *ledger) RecipeText(t string) (string, string, error) {
	if l.real == nil {
		return "resources/targets/" + t + ".yaml", "name: " + t + "\n", nil
	}
	return status.RecipeText(l.real, t)
}

func (l *ledger) RecipeSource(t string) (string, string, bool, error) {
	if l.real == nil {
		return "resources/targets/" + t + ".yaml", "name: " + t + "\n", false, nil
	}
	return status.RecipeSource(l.reread(), t)
}

// reread opens the home again: a recipe may have been saved.
func (l *ledger) reread() *backend.Backend {
	b, err := backend.Open(backend.Options{})
	if err != nil {
		return l.real
	}
	return b
}

func (l *ledger) TryRecipe(t, text string) (string, string, error) {
	if l.real == nil {
		return text, "", nil
	}
	return status.TryRecipe(l.reread(), t, text)
}

func (l *ledger) SaveRecipe(t, before, text string) error {
	if l.real == nil {
		return nil
	}
	return status.SaveRecipe(l.reread(), t, before, text)
}

func (l *ledger) Describe(c string) (api.Finding, bool) {
	if l.real == nil {
		return api.Finding{ID: c, Means: "The kernel hangs", Fix: "Look at the serial log."}, true
	}
	return l.real.Describe(c)
}

func (l *ledger) Phases(console []string) ([]api.Phase, error) { return status.Phases(console) }

// Doctor is no matter of the ledger, and differs from machine to machine.
func (l *ledger) Doctor(context.Context, ...string) (doctor.Report, error) {
	if l.report != nil {
		return l.report(), nil
	}
	return lackingReport(), nil
}

// lackingReport is what a computer says that lacks one program.
func lackingReport() doctor.Report {
	return doctor.Report{Checks: []doctor.Check{{Name: "qemu-system-aarch64", OK: true, Why: "boots what was built: the proof"}, {Name: "mmdebstrap", Why: "makes the root file system"}}, Install: []string{"apt-get update", "apt-get install -y --no-install-recommends mmdebstrap"}}
}

func (l *ledger) Link() (doctor.Link, bool) {
	if l.linked != nil {
		return l.linked(), true
	}
	return l.link, l.link.Program != ""
}

func (l *ledger) Guests(context.Context) (vm.Guests, error) { return l.guests, nil }

func (l *ledger) Settings() Settings {
	s := l.settings
	s.Config, s.Data, s.Cache, s.ConfigFile, s.Version, s.Program = "/home/me/.config/ingot", "/home/me/.local/share/ingot", "/home/me/.cache/ingot", "/home/me/.config/ingot/config.yaml", "dev", "/opt/in got/ingot"
	return s
}

func (l *ledger) Workers(context.Context) ([]Worker, error) { return l.workers, nil }

func (l *ledger) Preferences() app.Preferences { return l.prefs }

func (l *ledger) Explain(text string) (status.Explanation, error) { return status.Explain(text) }

func (l *ledger) ExplainFile(path string) (status.Explanation, error) {
	return status.ExplainAt(path, strings.NewReader(""))
}

func (l *ledger) DiagnosePacker(ctx context.Context, path string) (*doctor.PackerDiagnosis, error) {
	return doctor.ExaminePacker(ctx, doctor.PackerOptions{Path: path, For: "darwin/arm64"}) // not this computer, which differs
}

func (l *ledger) MendPacker(ctx context.Context, path string) (*doctor.PackerMended, error) {
	return doctor.MendPacker(ctx, doctor.PackerOptions{Path: path, For: "darwin/arm64"})
}

func (l *ledger) Checks(ctx context.Context) ([]api.Document, error) {
	if l.real == nil {
		return nil, nil
	}
	return status.FileProofs(ctx, l.real)
}
