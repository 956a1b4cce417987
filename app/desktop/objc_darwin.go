package desktop

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/ebitengine/purego/objc"
)

// frameworks have the classes that are used. AppKit is loaded in every program
// with a window or a menu; the others are loaded here.
var frameworks = []string{"Foundation", "AppKit", "UserNotifications", "ServiceManagement"}

var loadFrameworks = sync.OnceValue(func() error {
	for _, f := range frameworks {
		path := "/System/Library/Frameworks/" + f + ".framework/" + f
		if _, err := purego.Dlopen(path, purego.RTLD_LAZY|purego.RTLD_GLOBAL); err != nil {
			return fmt.Errorf("load %s: %w", path, err)
		}
	}
	return nil
})

// sel and cls are the only functions that look up selectors and classes, so
// that a test can find all of them in the source. Each is listed in objcUses.
func sel(name string) objc.SEL { return objc.RegisterName(name) }
func cls(name string) objc.ID  { return objc.ID(objc.GetClass(name)) }

// str is an autoreleased NSString.
func str(s string) objc.ID { return cls("NSString").Send(sel("stringWithUTF8String:"), s+"\x00") }

// text returns the text of an NSString.
func text(s objc.ID) string {
	if s == 0 {
		return ""
	}
	return objc.Send[string](s, sel("UTF8String"))
}

// callBlock calls a block that the system made.
func callBlock(b objc.Block, args ...uintptr) {
	if b == 0 {
		return
	}
	p := *(*unsafe.Pointer)(unsafe.Pointer(&b)) // the address is not Go's
	purego.SyscallN(invokeOf(p), append([]uintptr{uintptr(b)}, args...)...)
}

// pooled runs fn on one thread with an autorelease pool, which Go's threads do
// not have.
func pooled(fn func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pool := cls("NSAutoreleasePool").Send(sel("new"))
	defer pool.Send(sel("drain"))
	fn()
}

// errorText returns the description of an NSError.
func errorText(e objc.ID) string {
	if e == 0 {
		return "no reason given"
	}
	return text(e.Send(sel("localizedDescription")))
}

// array is an autoreleased NSMutableArray.
func array(items ...objc.ID) objc.ID {
	a := cls("NSMutableArray").Send(sel("array"))
	for _, i := range items {
		a.Send(sel("addObject:"), i)
	}
	return a
}

// bundleID returns this program's bundle identifier; "" outside a bundle.
func bundleID() string {
	return text(cls("NSBundle").Send(sel("mainBundle")).Send(sel("bundleIdentifier")))
}
