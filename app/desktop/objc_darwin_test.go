//go:build macos

package desktop

import (
	"slices"
	"testing"

	"github.com/ebitengine/purego/objc"
)

// The system knows every class and selector that is used: `go test -tags macos
// ./app/desktop` on a Mac.
func TestSystemKnowsNames(t *testing.T) {
	if err := loadFrameworks(); err != nil {
		t.Fatal(err)
	}
	responds := objc.RegisterName("respondsToSelector:")
	instances := objc.RegisterName("instancesRespondToSelector:")
	for _, u := range objcUses {
		class := objc.ID(objc.GetClass(u.class))
		if class == 0 {
			t.Errorf("there is no class %s", u.class)
			continue
		}
		for _, s := range u.of {
			if !objc.Send[bool](class, responds, objc.RegisterName(s)) {
				t.Errorf("+[%s %s] does not exist", u.class, s)
			}
		}
		for _, s := range u.instance {
			if !objc.Send[bool](class, instances, objc.RegisterName(s)) {
				t.Errorf("-[%s %s] does not exist", u.class, s)
			}
		}
	}
	if objc.Send[bool](objc.ID(objc.GetClass("NSObject")), instances, objc.RegisterName("ingotNoSuchSelector:")) {
		t.Error("a selector that does not exist is said to")
	}
	for p, selectors := range objcProtocols {
		protocol := objc.GetProtocol(p)
		if protocol == nil {
			t.Errorf("there is no protocol %s", p)
			continue
		}
		have := map[string]bool{}
		for _, required := range []bool{true, false} {
			for _, m := range protocol.CopyMethodDescriptionList(required, true) {
				have[m.Name()] = true
			}
		}
		for _, s := range selectors {
			if !have[s] {
				t.Errorf("protocol %s has no %s", p, s)
			}
		}
	}
}

// A block that the system could have made is called, with its arguments.
func TestSystemBlockIsCalled(t *testing.T) {
	if err := checkBlock(); err != nil {
		t.Error(err)
	}
}

// Structures of four and two doubles keep their values on the way through the system.
func TestStructsPass(t *testing.T) {
	if err := loadFrameworks(); err != nil {
		t.Fatal(err)
	}
	type rect struct{ X, Y, W, H float64 }
	type point struct{ X, Y float64 }
	value := objc.ID(objc.GetClass("NSValue"))
	pooled(func() {
		r := rect{1.5, -2, 300, 4e9}
		if got := objc.Send[rect](value.Send(objc.RegisterName("valueWithRect:"), r), objc.RegisterName("rectValue")); got != r {
			t.Errorf("a rectangle: %v, want %v", got, r)
		}
		p := point{-0.25, 7}
		if got := objc.Send[point](value.Send(objc.RegisterName("valueWithPoint:"), p), objc.RegisterName("pointValue")); got != p {
			t.Errorf("a point: %v, want %v", got, p)
		}
	})
}

// Events of the application reach the functions: a second launch, a link, files.
func TestAppEvents(t *testing.T) {
	var reopened int
	var items []string
	if err := WatchApp(AppEvents{Reopened: func() { reopened++ }, MenuDone: func() {}, Open: func(item string) { items = append(items, item) }}); err != nil {
		t.Fatal(err)
	}
	o, err := appObserver()
	if err != nil {
		t.Fatal(err)
	}
	descriptor := objc.ID(objc.GetClass("NSAppleEventDescriptor"))
	event := func(class, id uint32, what objc.ID) objc.ID {
		e := descriptor.Send(objc.RegisterName("appleEventWithEventClass:eventID:targetDescriptor:returnID:transactionID:"), class, id, objc.ID(0), int16(-1), int32(0))
		if what != 0 {
			e.Send(objc.RegisterName("setParamDescriptor:forKeyword:"), what, uint32(direct))
		}
		return e
	}
	pooled(func() {
		o.Send(objc.RegisterName("ingotReopened:withReply:"), event(coreEvents, reopen, 0), objc.ID(0))
		o.Send(objc.RegisterName("ingotOpened:withReply:"), event(getURL, getURL, descriptor.Send(objc.RegisterName("descriptorWithString:"), str("ingot://builds"))), objc.ID(0))
		files := descriptor.Send(objc.RegisterName("listDescriptor"))
		file := cls("NSURL").Send(sel("fileURLWithPath:"), str("/tmp/a disk.qcow2"))
		files.Send(objc.RegisterName("insertDescriptor:atIndex:"), descriptor.Send(objc.RegisterName("descriptorWithFileURL:"), file), 1)
		o.Send(objc.RegisterName("ingotOpened:withReply:"), event(coreEvents, openFiles, files), objc.ID(0))
	})
	if want := []string{"ingot://builds", "/tmp/a disk.qcow2"}; reopened != 1 || !slices.Equal(items, want) {
		t.Errorf("reopened %d times, opened %q, want %q", reopened, items, want)
	}
}
