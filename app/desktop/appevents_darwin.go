package desktop

import (
	"fmt"
	"sync"

	"github.com/ebitengine/purego/objc"
)

// Four-character codes of Apple events and of their main parameter
// (kCoreEventClass with kAEReopenApplication and kAEOpenDocuments, kInternetEventClass
// with kAEGetURL, keyDirectObject; AppleEvents.h, InternetConfig.h).
const (
	coreEvents = 'a'<<24 | 'e'<<16 | 'v'<<8 | 't'
	reopen     = 'r'<<24 | 'a'<<16 | 'p'<<8 | 'p'
	openFiles  = 'o'<<24 | 'd'<<16 | 'o'<<8 | 'c'
	getURL     = 'G'<<24 | 'U'<<16 | 'R'<<8 | 'L' // class and event have the same code
	direct     = '-'<<24 | '-'<<16 | '-'<<8 | '-'
)

var appEvents struct {
	mu sync.Mutex
	do AppEvents
}

// appObserver is the object that receives the events. It exists until the process ends.
var appObserver = sync.OnceValues(func() (objc.ID, error) {
	class, err := objc.RegisterClass("IngotAppEvents", objc.GetClass("NSObject"), nil, nil, []objc.MethodDef{
		{Cmd: sel("ingotReopened:withReply:"), Fn: func(objc.ID, objc.SEL, objc.ID, objc.ID) { watched(func(e AppEvents) { e.Reopened() }) }},
		{Cmd: sel("ingotOpened:withReply:"), Fn: func(_ objc.ID, _ objc.SEL, event, _ objc.ID) { watched(func(e AppEvents) { opened(event, e.Open) }) }},
		{Cmd: sel("ingotMenuDone:"), Fn: func(objc.ID, objc.SEL, objc.ID) { watched(func(e AppEvents) { e.MenuDone() }) }},
	})
	if err != nil {
		return 0, fmt.Errorf("watch the application's events: %w", err)
	}
	o := objc.ID(class).Send(sel("new"))
	cls("NSNotificationCenter").Send(sel("defaultCenter")).
		Send(sel("addObserver:selector:name:object:"), o, sel("ingotMenuDone:"), str("NSMenuDidEndTrackingNotification"), objc.ID(0))
	return o, nil
})

// WatchApp makes the system report the events. It is called before the application
// runs, for the link or file that launches it, and again when it has finished
// launching, since AppKit sets handlers of its own by then.
func WatchApp(do AppEvents) (err error) {
	if err := loadFrameworks(); err != nil {
		return err
	}
	appEvents.mu.Lock()
	appEvents.do = do
	appEvents.mu.Unlock()
	pooled(func() {
		var o objc.ID
		if o, err = appObserver(); err != nil {
			return
		}
		manager := cls("NSAppleEventManager").Send(sel("sharedAppleEventManager"))
		set := sel("setEventHandler:andSelector:forEventClass:andEventID:")
		manager.Send(set, o, sel("ingotReopened:withReply:"), uint32(coreEvents), uint32(reopen))
		manager.Send(set, o, sel("ingotOpened:withReply:"), uint32(coreEvents), uint32(openFiles))
		manager.Send(set, o, sel("ingotOpened:withReply:"), uint32(getURL), uint32(getURL))
	})
	return err
}

func watched(f func(AppEvents)) {
	appEvents.mu.Lock()
	do := appEvents.do
	appEvents.mu.Unlock()
	guarded("an event of the application", func() { f(do) })
}

// opened passes on what an event opens: a list of files, or the text of a link.
func opened(event objc.ID, open func(string)) {
	list := event.Send(sel("paramDescriptorForKeyword:"), uint32(direct))
	if list == 0 {
		return
	}
	n := objc.Send[int](list, sel("numberOfItems")) // 0 for what is no list
	for i := 1; i <= n; i++ {
		if file := list.Send(sel("descriptorAtIndex:"), i).Send(sel("fileURLValue")); file != 0 {
			open(text(file.Send(sel("path"))))
		}
	}
	if n == 0 {
		open(text(list.Send(sel("stringValue"))))
	}
}
