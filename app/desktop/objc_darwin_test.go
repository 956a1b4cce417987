//go:build macos

package desktop

import (
	"runtime"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
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

// A block that the system could have made: a literal of a global block.
func TestSystemBlockIsCalled(t *testing.T) {
	if err := loadFrameworks(); err != nil {
		t.Fatal(err)
	}
	isa, err := purego.Dlsym(purego.RTLD_DEFAULT, "_NSConcreteGlobalBlock")
	if err != nil {
		t.Fatal(err)
	}
	called := uintptr(0)
	b := &block{isa: isa, flags: 1 << 28, invoke: purego.NewCallback(func(_, options uintptr) uintptr { called = options; return 0 })} // BLOCK_IS_GLOBAL
	callBlock(objc.Block(uintptr(unsafe.Pointer(b))), unBanner|unList)
	if called != unBanner|unList {
		t.Errorf("called with %d", called)
	}
	runtime.KeepAlive(b)
}
