package desktop

import (
	"fmt"
	"sync"

	"github.com/ebitengine/purego/objc"
)

// Four-character codes of the event that Finder sends to a program that is
// launched again while it runs (kCoreEventClass, kAEReopenApplication).
const (
	coreEvents = 'a'<<24 | 'e'<<16 | 'v'<<8 | 't'
	reopen     = 'r'<<24 | 'a'<<16 | 'p'<<8 | 'p'
)

var appEvents struct {
	mu                 sync.Mutex
	reopened, menuDone func()
}

// WatchApp calls reopened when the user launches the program again, which
// starts no second process on macOS, and menuDone when the menu is closed. Both
// are called on the main thread and must not block. It must be called once,
// after the application has finished launching.
func WatchApp(reopened, menuDone func()) error {
	if err := loadFrameworks(); err != nil {
		return err
	}
	class, err := objc.RegisterClass("IngotAppEvents", objc.GetClass("NSObject"), nil, nil, []objc.MethodDef{
		{Cmd: sel("ingotReopened:withReply:"), Fn: func(objc.ID, objc.SEL, objc.ID, objc.ID) { call(func() func() { return appEvents.reopened }) }},
		{Cmd: sel("ingotMenuDone:"), Fn: func(objc.ID, objc.SEL, objc.ID) { call(func() func() { return appEvents.menuDone }) }},
	})
	if err != nil {
		return fmt.Errorf("watch the application's events: %w", err)
	}
	appEvents.mu.Lock()
	appEvents.reopened, appEvents.menuDone = reopened, menuDone
	appEvents.mu.Unlock()
	pooled(func() {
		o := objc.ID(class).Send(sel("new")) // never released
		cls("NSAppleEventManager").Send(sel("sharedAppleEventManager")).
			Send(sel("setEventHandler:andSelector:forEventClass:andEventID:"), o, sel("ingotReopened:withReply:"), uint32(coreEvents), uint32(reopen))
		cls("NSNotificationCenter").Send(sel("defaultCenter")).
			Send(sel("addObserver:selector:name:object:"), o, sel("ingotMenuDone:"), str("NSMenuDidEndTrackingNotification"), objc.ID(0))
	})
	return nil
}

func call(which func() func()) {
	appEvents.mu.Lock()
	f := which()
	appEvents.mu.Unlock()
	if f != nil {
		guarded("an event of the application", f)
	}
}
