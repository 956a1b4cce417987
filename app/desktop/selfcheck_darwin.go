package desktop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/ebitengine/purego/objc"
)

const (
	menuBundle   = "org.ingot.app"
	windowBundle = "org.ingot.app.window"
)

func checkBundle() (err error) {
	pooled(func() {
		if id := bundleID(); id != menuBundle {
			err = fmt.Errorf("the bundle is %q", id)
		}
	})
	return err
}

// Values of UNAuthorizationStatus (Apple's documentation of it).
const (
	notesDenied      = 1
	notesAllowed     = 2
	notesProvisional = 3
)

// checkNotesAllowed waits for the user's answer to the system's question.
func checkNotesAllowed(ctx context.Context) error {
	if err := checkBundle(); err != nil {
		return err // the centre would end a process without a bundle
	}
	unanswered := errors.New("the system's question whether Ingot may show notifications was not answered")
	return poll(ctx, func() (bool, error) {
		answer := make(chan int, 1)
		pooled(func() {
			b := objc.NewBlock(func(_ objc.Block, settings objc.ID) { answer <- objc.Send[int](settings, sel("authorizationStatus")) })
			defer b.Release()
			cls("UNUserNotificationCenter").Send(sel("currentNotificationCenter")).Send(sel("getNotificationSettingsWithCompletionHandler:"), b)
		})
		select {
		case status := <-answer:
			switch status {
			case notesAllowed, notesProvisional:
				return true, nil
			case notesDenied:
				return true, noteRefused(false, "")
			}
		case <-ctx.Done():
		}
		return false, unanswered
	})
}

// checkNote shows a notification and looks for it among the delivered ones.
func checkNote(ctx context.Context, n Notifier) error {
	if n == nil {
		return errors.New("notifications are not available")
	}
	const id = "selfcheck"
	if err := n.Show(Note{ID: id, Title: "Ingot checks itself", Body: "This notification is part of it.", Actions: []NoteAction{{ActDefault, "Show"}, {ActShow, "Show"}}}); err != nil {
		return err
	}
	missing := errors.New("the notification was accepted, and is not among the delivered ones")
	return poll(ctx, func() (bool, error) {
		found := make(chan bool, 1)
		pooled(func() {
			b := objc.NewBlock(func(_ objc.Block, notes objc.ID) {
				there := false
				for i := range objc.Send[int](notes, sel("count")) {
					there = there || text(notes.Send(sel("objectAtIndex:"), i).Send(sel("request")).Send(sel("identifier"))) == id
				}
				found <- there
			})
			defer b.Release()
			cls("UNUserNotificationCenter").Send(sel("currentNotificationCenter")).Send(sel("getDeliveredNotificationsWithCompletionHandler:"), b)
		})
		select {
		case there := <-found:
			if there {
				return true, nil
			}
		case <-ctx.Done():
		}
		return false, missing
	})
}

// checkBlock answers the system as after a notification, with a block like the
// system's: a literal of a global block.
func checkBlock() error {
	if err := loadFrameworks(); err != nil {
		return err
	}
	isa, err := purego.Dlsym(purego.RTLD_DEFAULT, "_NSConcreteGlobalBlock")
	if err != nil {
		return err
	}
	called := uintptr(0)
	b := &block{isa: isa, flags: 1 << 28, invoke: purego.NewCallback(func(_, options uintptr) uintptr { called = options; return 0 })} // BLOCK_IS_GLOBAL
	present(0, 0, 0, 0, objc.Block(uintptr(unsafe.Pointer(b))))
	runtime.KeepAlive(b)
	if called != unBanner|unList {
		return fmt.Errorf("the block was called with %d", called)
	}
	return nil
}

// launchAgain opens this bundle by LaunchServices, as Finder does.
func launchAgain(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bundle := filepath.Dir(filepath.Dir(filepath.Dir(self)))
	if out, err := exec.CommandContext(ctx, "/usr/bin/open", bundle).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// inFront returns an error unless the window's application is the one in front.
func inFront(context.Context) (front string, err error) {
	pooled(func() {
		front = text(cls("NSWorkspace").Send(sel("sharedWorkspace")).Send(sel("frontmostApplication")).Send(sel("bundleIdentifier")))
	})
	if front != windowBundle {
		return front + " is", errors.New("another application is in front")
	}
	return front, nil
}
