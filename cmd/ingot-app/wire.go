package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"ingot/app"
	"ingot/app/desktop"
	"ingot/app/feed"
	"ingot/app/tray"
	"ingot/app/tray/native"
	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/owner"
)

func openHome() (*backend.Backend, error) { return backend.Open(backend.Options{}) }

// wire connects the menu's parts.
func (m *menu) wire() {
	m.feed = feed.New(&feed.Home{Open: openHome})
	m.feed.OnFinished(func(e api.Event) { m.work.Go(func() { m.finished(e) }) })
	m.icon = native.New()
	notifier, err := desktop.OpenNotifier(m.invoked)
	if err != nil {
		m.log.Warn("no notification server; notifications are logged here", "err", err)
		notifier = logNotifier{m}
	}
	m.policy = &desktop.NotifyPolicy{Notifier: notifier, Focused: desktop.Focused, Quiet: func() bool { return app.LoadPreferences(m.config).Quiet }, Failed: func(err error) { m.log.Warn("notification not shown", "err", err) }}
	m.desk = &tray.Desk{Open: openHome, State: m.feed.State, AtLogin: desktop.AtLogin, Export: m.export, Terminal: desktop.OpenTerminal, ExportVM: m.exportVM,
		Window: func(ctx context.Context, route string) error {
			m.log.Info("window", "route", route)
			_, err := desktop.OpenWindow(ctx, route)
			return err
		},
		SetAtLogin: func(on bool) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			return desktop.SetAtLogin(on, self)
		}}
}

// logNotifier writes notifications to the log if there is no notification
// server.
type logNotifier struct{ m *menu }

func (l logNotifier) Show(n desktop.Note) error {
	l.m.log.Info("notification", "title", n.Title, "body", n.Body)
	return nil
}

func (logNotifier) Close() error { return nil }

// notify shows a notification without blocking its caller.
func (m *menu) notify(n desktop.Note) { m.work.Go(func() { m.policy.Show(m.ctx, n) }) }

// rowLimit bounds the request for a row after a build.
const rowLimit = 5 * time.Second

// finished shows a notification about a build that ended, with the target's
// state afterwards.
func (m *menu) finished(e api.Event) {
	ctx, cancel := context.WithTimeout(m.ctx, rowLimit)
	defer cancel()
	row := api.Row{Target: e.Target}
	if b, err := openHome(); err == nil {
		if rows, err := owner.ClientOf(b).Status(ctx, e.Target); err == nil && len(rows) == 1 { // otherwise the notification has no row
			row = rows[0]
		}
	}
	if n, ok := desktop.OfBuild(e, row); ok {
		m.notes.Store(n.ID, e)
		m.policy.Show(m.ctx, n)
	}
}

// invoked performs the action of a notification.
func (m *menu) invoked(id, action string) {
	m.log.Info("notification action", "note", id, "action", action)
	m.work.Go(func() {
		if err := m.act(id, action); err != nil && m.ctx.Err() == nil {
			m.log.Error("notification action", "err", err)
			m.notify(desktop.Note{ID: "action", Title: "The action failed", Body: app.Line(err.Error())})
		}
	})
}

func (m *menu) act(id, action string) error {
	if file, ok := strings.CutPrefix(id, "file/"); ok {
		return desktop.Reveal(m.ctx, file)
	}
	v, ok := m.notes.Load(id)
	if !ok {
		return m.desk.Do(m.ctx, tray.Action{Verb: tray.Window, Arg: app.RouteLast})
	}
	e := v.(api.Event)
	a := tray.Action{Verb: tray.Window, Target: e.Target, Arg: app.RouteOf(e.Target)}
	switch {
	case action == desktop.ActPublish:
		a = tray.Action{Verb: tray.Publish, Target: e.Target}
	case action == desktop.ActAgain:
		a = tray.Action{Verb: tray.Build, Target: e.Target}
	case e.Outcome == api.OutcomePassed:
		a.Arg = app.RouteArtifact(e.Target)
	}
	return m.desk.Do(m.ctx, a)
}

// export runs `ingot export`, so that its memory use and a crash do not affect
// the menu.
func (m *menu) export(ctx context.Context, target, format string) error {
	return m.write(ctx, target, format, "export", target, "--format", format)
}

// exportVM runs `ingot vm export`.
func (m *menu) exportVM(ctx context.Context, name string) error {
	return m.write(ctx, name, "qcow2", "vm", "export", name)
}

// write runs an export of `ingot` into a new file, and shows a notification
// about it.
func (m *menu) write(ctx context.Context, base, format string, args ...string) error {
	program, err := api.Program()
	if err != nil {
		return err
	}
	file, err := desktop.FreeName(base, format)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, append(args, "--output", file)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("export: %s", strings.TrimPrefix(app.Line(stderr.String()+" "+err.Error()), "ingot: "))
	}
	m.notify(desktop.Note{ID: "file/" + file, Title: base + " as " + format, Body: app.Line(file), Actions: []desktop.NoteAction{{Key: desktop.ActDefault, Label: "Show"}, {Key: desktop.ActReveal, Label: "Show"}}})
	return nil
}
