package desktop

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/ebitengine/purego/objc"
)

// smEnabled is SMAppServiceStatusEnabled.
const smEnabled = 1

// service returns the bundle itself as a login item (SMAppService, macOS 13).
func service() (objc.ID, error) {
	if err := loadFrameworks(); err != nil {
		return 0, err
	}
	if bundleID() == "" {
		return 0, errors.New("this program runs outside its bundle Ingot.app")
	}
	return cls("SMAppService").Send(sel("mainAppService")), nil
}

// AtLogin reports whether Ingot starts at login.
func AtLogin() (on bool) {
	pooled(func() {
		s, err := service()
		on = err == nil && objc.Send[int](s, sel("status")) == smEnabled
	})
	return on
}

// SetAtLogin makes the bundle start at login, or not. program is this program's path:
// it must be in its final place.
func SetAtLogin(on bool, program string) (err error) {
	if err := Misplaced(program); on && err != nil {
		return err
	}
	pooled(func() {
		var s, why objc.ID
		if s, err = service(); err != nil {
			err = fmt.Errorf("start at login: %w", err)
			return
		}
		change := sel("unregisterAndReturnError:")
		if on {
			change = sel("registerAndReturnError:")
		}
		if !objc.Send[bool](s, change, unsafe.Pointer(&why)) {
			err = fmt.Errorf("start at login: %s: see System Settings > General > Login Items", errorText(why))
		}
	})
	return err
}
