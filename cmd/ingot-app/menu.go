package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"ingot/app"
	"ingot/app/desktop"
	"ingot/app/feed"
	"ingot/app/tray"
	"ingot/app/tray/native"
	"ingot/backend/api"
)

// hostWait is how long the menu waits for a panel that shows tray icons.
const hostWait = 3 * time.Second

// menu is the state of the menu's role.
type menu struct {
	log    *slog.Logger
	config string // folder
	feed   *feed.Feed
	policy *desktop.NotifyPolicy
	desk   *tray.Desk
	icon   *native.Tray
	ctx    context.Context
	stop   context.CancelFunc
	notes  sync.Map      // api.Event of the build that a notification is about, by the notification's id
	opened chan struct{} // gets a value when the window was opened, if it has none
	// selfcheck is the file for the answers of a self check; "" makes none.
	selfcheck string
	logFile   string         // "" if the log goes to the terminal
	work      sync.WaitGroup // goroutines that end with ctx
}

// runMenu runs the menu's role and returns an exit code. With the name of a file it
// checks itself, writes the answers there, and ends.
func runMenu(selfcheck string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	m := &menu{log: slog.New(slog.NewTextHandler(os.Stderr, nil)), ctx: ctx, stop: stop, selfcheck: selfcheck, opened: make(chan struct{}, 1)}
	if err := m.run(); err != nil {
		fmt.Fprintln(os.Stderr, "ingot-app:", err)
		return 1
	}
	return 0
}

func (m *menu) run() (err error) {
	request := desktop.RequestShow + " " + app.RouteLast
	if m.selfcheck != "" {
		request = desktop.RequestFocused // the other menu need not open its window
	}
	one, answer, err := desktop.Become(m.ctx, desktop.MenuRole, request, m.serve)
	if err != nil {
		return err
	}
	if one == nil && m.selfcheck != "" {
		return errors.New("another menu of this home runs: quit it, then check again")
	}
	if one == nil {
		fmt.Println("Ingot is running already and opens its window: " + answer)
		return nil
	}
	defer func() { err = errors.Join(err, one.Close()) }()
	instance, err := api.FindInstance(desktop.MenuRole)
	if err != nil {
		return err
	}
	m.config = instance.Config()
	log, err := desktop.OpenLog(instance.Data(), desktop.MenuRole)
	if err != nil {
		return err
	}
	if log != os.Stderr {
		defer func() { err = errors.Join(err, log.Close()) }()
		if f, ok := log.(*os.File); ok {
			m.logFile = f.Name()
		}
	}
	m.log = slog.New(slog.NewTextHandler(log, nil))
	slog.SetDefault(m.log)
	crash, last, err := desktop.StartCrashLog(instance.Data(), desktop.MenuRole)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, crash.Close()) }()
	if last != "" {
		m.log.Warn("the menu crashed last time", "log", last)
	}
	return m.show()
}

// show runs the menu until it has to end.
func (m *menu) show() error {
	m.wire()
	defer func() {
		m.stop()
		m.work.Wait()
		if err := m.policy.Notifier.Close(); err != nil {
			m.log.Warn("notifications", "err", err)
		}
	}()
	m.work.Go(func() { m.feed.Run(m.ctx) })
	changed, done := m.feed.Changed()
	defer done()
	m.work.Go(func() {
		m.policy.Attention(m.ctx, changed, func() string { return m.feed.State().Problem })
	})
	host, err := desktop.TrayHost(m.ctx, 0)
	if err != nil {
		return m.withoutIcon(err)
	}
	var failed error
	if !host {
		m.work.Go(func() { failed = m.awaitHost() })
	}
	m.watchApp() // for what launches this process
	m.icon.Run(func() {
		m.watchApp()
		first := make(chan struct{})
		m.work.Go(func() {
			m.controller(first).Run(m.ctx)
			m.icon.Quit()
		})
		<-first
		if m.selfcheck != "" {
			m.work.Go(func() { failed = m.checkItself() })
		}
	})
	m.stop()
	m.work.Wait()
	return failed
}

// watchApp makes the system's events do what they mean.
func (m *menu) watchApp() {
	err := desktop.WatchApp(desktop.AppEvents{
		Reopened: func() { m.work.Go(func() { m.open(app.RouteLast) }) },
		MenuDone: m.icon.MenuClosed,
		Open: func(item string) {
			m.work.Go(func() {
				m.log.Info("opened", "item", item)
				if err := openItem(m.ctx, item); err != nil && m.ctx.Err() == nil {
					m.log.Error("cannot open", "item", item, "err", err)
					m.notify(desktop.Note{ID: "action", Title: "Ingot cannot open it", Body: app.Line(err.Error())})
				}
			})
		},
	})
	if err != nil {
		m.log.Warn("a second launch cannot open the window", "err", err)
	}
}

// controller returns the menu's controller; first is closed when the first menu
// has been built.
func (m *menu) controller(first chan struct{}) *tray.Controller {
	self, _ := os.Executable() // "" is in no wrong place
	notice := desktop.Misplaced(self)
	if notice != nil {
		m.log.Warn("the bundle", "err", notice)
	}
	return &tray.Controller{Feed: m.feed, View: &firstView{View: m.icon, first: first}, Actor: m.desk, Ended: m.stop, AtLogin: desktop.AtLogin, Notice: notice,
		Failed: func(a tray.Action, err error) {
			m.log.Error("action failed", "target", a.Target, "err", err)
			m.notify(desktop.Note{ID: "action", Title: "The action failed", Body: app.Line(err.Error()), Actions: []desktop.NoteAction{{Key: desktop.ActDefault, Label: "Show"}}})
		}}
}

// firstView closes a channel when its view has built the first menu.
type firstView struct {
	tray.View
	first chan struct{}
	once  sync.Once
}

func (v *firstView) Build(m tray.Menu) {
	v.View.Build(m)
	v.once.Do(func() { close(v.first) })
}

// awaitHost opens the window if the desktop shows no tray icons. When the
// window is closed, the menu ends too, unless the desktop shows icons by then:
// an invisible process would be of no use.
func (m *menu) awaitHost() error {
	host, err := desktop.TrayHost(m.ctx, hostWait)
	if host || m.ctx.Err() != nil {
		return nil
	}
	m.log.Warn("nothing on this desktop shows tray icons (org.kde.StatusNotifierWatcher): the window opens instead; a panel with a status notifier plugin shows the menu", "err", err)
	defer func() {
		if host, _ := desktop.TrayHost(m.ctx, 0); !host { // without a bus there is no host
			m.stop()
		}
	}()
	return m.stay(app.RouteLast)
}

// stay shows the window until it is closed.
func (m *menu) stay(route string) error {
	ended, err := desktop.OpenWindow(m.ctx, route)
	if err != nil || ended == nil {
		return err
	}
	select {
	case err := <-ended:
		return err
	case <-m.ctx.Done():
		return nil
	}
}

// withoutIcon runs the menu's role on a desktop without tray icons.
func (m *menu) withoutIcon(why error) error {
	m.log.Warn("the window opens instead of the menu", "why", why)
	return m.stay(app.RouteLast)
}

// serve answers requests of other processes of this home, such as a second
// launch of `ingot-app`.
func (m *menu) serve(request string) string {
	verb, route, _ := strings.Cut(request, " ")
	if verb != desktop.RequestShow {
		return "unknown request " + verb
	}
	m.work.Go(func() { m.open(route) })
	return "ok"
}

// open shows the window, and a notification if that fails.
func (m *menu) open(route string) {
	if m.ctx.Err() != nil {
		return
	}
	m.log.Info("window", "route", route)
	if _, err := desktop.OpenWindow(m.ctx, route); err != nil && m.ctx.Err() == nil {
		m.log.Error("cannot open the window", "err", err)
		return
	}
	select {
	case m.opened <- struct{}{}:
	default:
	}
}
