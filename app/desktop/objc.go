package desktop

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"unsafe"
)

// block is the beginning of a block on 64 bits, as the compiler of the system's
// frameworks lays it out (clang's Block-ABI-Apple).
type block struct {
	isa             uintptr
	flags, reserved int32
	invoke          uintptr
}

// invokeOf returns the address of a block's function, whose first argument is the block.
// purego's Block.Invoke calls only blocks that Go made: it panics for the system's own.
func invokeOf(b unsafe.Pointer) uintptr { return (*block)(b).invoke }

// guarded runs what the system calls. A panic that left it would end the process.
func guarded(what string, f func()) {
	defer func() {
		if r := recover(); r != nil {
			slog.Error("a panic in what the system called", "what", what, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	f()
}

// noteRefused returns why the system shows no notifications; nil if it does. why is its
// own text.
func noteRefused(granted bool, why string) error {
	switch {
	case why != "":
		return fmt.Errorf("notifications: the system refused: %s", why)
	case !granted:
		return errors.New("notifications are switched off: System Settings > Notifications > Ingot")
	}
	return nil
}

// objcUse is a class of Apple's frameworks with the selectors that are sent to
// it or to its instances. The tests compare this list with the source, with
// docs/macos-checklist.md and, on a Mac, with the system.
type objcUse struct {
	class    string
	of       []string // selectors of the class itself
	instance []string // selectors of its instances
}

// objcUses lists all classes that are used; Apple's documentation describes
// them by name.
var objcUses = []objcUse{
	{"NSObject", []string{"new", "alloc"}, []string{"retain", "release"}},
	{"NSAutoreleasePool", []string{"new"}, []string{"drain"}},
	{"NSString", []string{"stringWithUTF8String:"}, []string{"UTF8String"}},
	{"NSMutableArray", []string{"array"}, []string{"addObject:"}},
	{"NSSet", []string{"setWithArray:"}, nil},
	{"NSError", nil, []string{"localizedDescription"}},
	{"NSBundle", []string{"mainBundle"}, []string{"bundleIdentifier"}},
	{"NSURL", []string{"fileURLWithPath:"}, []string{"path"}},
	{"NSWorkspace", []string{"sharedWorkspace"}, []string{"activateFileViewerSelectingURLs:", "openURL:", "iconForFile:", "frontmostApplication"}},
	{"NSRunningApplication", nil, []string{"bundleIdentifier"}},
	{"NSArray", nil, []string{"count", "objectAtIndex:"}},
	{"NSApplication", []string{"sharedApplication"}, []string{"currentEvent", "postEvent:atStart:"}},
	{"NSEvent", []string{"mouseEventWithType:location:modifierFlags:timestamp:windowNumber:context:eventNumber:clickCount:pressure:"}, []string{"type", "locationInWindow"}},
	{"NSWindow", nil, []string{"contentView", "windowNumber"}},
	{"NSView", nil, []string{"beginDraggingSessionWithItems:event:source:"}},
	{"NSDraggingItem", []string{"alloc"}, []string{"initWithPasteboardWriter:", "setDraggingFrame:contents:"}},
	{"NSAppleEventManager", []string{"sharedAppleEventManager"}, []string{"setEventHandler:andSelector:forEventClass:andEventID:"}},
	{"NSAppleEventDescriptor", nil, []string{"paramDescriptorForKeyword:", "numberOfItems", "descriptorAtIndex:", "fileURLValue", "stringValue"}},
	{"NSNotificationCenter", []string{"defaultCenter"}, []string{"addObserver:selector:name:object:"}},
	{"SMAppService", []string{"mainAppService"}, []string{"status", "registerAndReturnError:", "unregisterAndReturnError:"}},
	{"UNUserNotificationCenter", []string{"currentNotificationCenter"}, []string{"setDelegate:", "requestAuthorizationWithOptions:completionHandler:", "addNotificationRequest:withCompletionHandler:", "setNotificationCategories:", "getNotificationSettingsWithCompletionHandler:", "getDeliveredNotificationsWithCompletionHandler:"}},
	{"UNNotificationSettings", nil, []string{"authorizationStatus"}},
	{"UNMutableNotificationContent", []string{"new"}, []string{"setTitle:", "setBody:", "setCategoryIdentifier:"}},
	{"UNNotificationRequest", []string{"requestWithIdentifier:content:trigger:"}, []string{"identifier"}},
	{"UNNotificationResponse", nil, []string{"actionIdentifier", "notification"}},
	{"UNNotification", nil, []string{"request"}},
	{"UNNotificationAction", []string{"actionWithIdentifier:title:options:"}, nil},
	{"UNNotificationCategory", []string{"categoryWithIdentifier:actions:intentIdentifiers:options:"}, nil},
}

// objcProtocols are the protocols that our classes implement.
var objcProtocols = map[string][]string{
	"NSDraggingSource":                 {"draggingSession:sourceOperationMaskForDraggingContext:", "draggingSession:endedAtPoint:operation:"},
	"UNUserNotificationCenterDelegate": {"userNotificationCenter:didReceiveNotificationResponse:withCompletionHandler:", "userNotificationCenter:willPresentNotification:withCompletionHandler:"},
}

// objcOwn are the selectors of our classes that belong to no protocol.
var objcOwn = []string{"ingotReopened:withReply:", "ingotOpened:withReply:", "ingotMenuDone:"}
