package desktop

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ebitengine/purego/objc"
)

// Values of AppKit's enumerations (NSDragOperation, NSEventType).
const (
	dragCopy      = 1
	mouseDown     = 1
	mouseUp       = 2
	mouseDragged  = 6
	iconSide      = 32 // points
	iconDistance  = 4
	clickOnce     = 1
	noPressure    = float32(0)
	noModifier    = uint(0)
	noEventNumber = 0
)

// NSPoint, NSSize and NSRect on 64 bits.
type (
	point struct{ X, Y float64 }
	size  struct{ W, H float64 }
	rect  struct {
		Origin point
		Size   size
	}
)

// drags are the drags in progress, by source object.
var drags = struct {
	mu   sync.Mutex
	ends map[objc.ID]func(operation uint)
}{ends: map[objc.ID]func(uint){}}

// sourceClass registers the class once. NSPoint is a struct of two doubles and
// is passed in the registers of two float64 on both architectures.
var sourceClass = sync.OnceValues(func() (objc.Class, error) {
	return objc.RegisterClass("IngotDragSource", objc.GetClass("NSObject"), []*objc.Protocol{objc.GetProtocol("NSDraggingSource")}, nil, []objc.MethodDef{
		{Cmd: sel("draggingSession:sourceOperationMaskForDraggingContext:"), Fn: func(objc.ID, objc.SEL, objc.ID, int) uint { return dragCopy }},
		{Cmd: sel("draggingSession:endedAtPoint:operation:"), Fn: func(self objc.ID, _ objc.SEL, _ objc.ID, _, _ float64, operation uint) {
			drags.mu.Lock()
			end := drags.ends[self]
			delete(drags.ends, self)
			drags.mu.Unlock()
			if end != nil {
				guarded("the end of a drag", func() { end(operation) })
			}
			self.Send(sel("release"))
		}},
	})
})

// StartDrag starts dragging files out of an NSWindow. It must be called on the
// main thread while it handles the mouse event, with the pointer still inside
// the dragged view: the drag starts with NSApplication's currentEvent. It
// returns at once; done is called with the result on the main thread. The
// system ends the session; ctx does not.
func StartDrag(_ context.Context, window uintptr, files []string, done func(Drop, error)) error {
	files, err := dragFiles(files)
	if err != nil {
		return err
	}
	if err := loadFrameworks(); err != nil {
		return fmt.Errorf("drag: %w", err)
	}
	class, err := sourceClass()
	if err != nil {
		return fmt.Errorf("drag: %w", err)
	}
	pooled(func() { err = begin(class, objc.ID(window), files, done) })
	return err
}

func begin(class objc.Class, window objc.ID, files []string, done func(Drop, error)) error {
	app := cls("NSApplication").Send(sel("sharedApplication"))
	event := app.Send(sel("currentEvent"))
	if event == 0 {
		return errors.New("drag: there is no current event: a drag must start in a mouse event")
	}
	if t := objc.Send[uint](event, sel("type")); t != mouseDown && t != mouseDragged {
		return fmt.Errorf("drag: the current event has type %d, which is not a mouse event", t)
	}
	at := objc.Send[point](event, sel("locationInWindow"))
	items := array()
	for i, f := range files {
		item := cls("NSDraggingItem").Send(sel("alloc")).Send(sel("initWithPasteboardWriter:"), fileURL(f))
		frame := rect{point{at.X - iconSide/2 + float64(iconDistance*i), at.Y - iconSide/2}, size{iconSide, iconSide}}
		item.Send(sel("setDraggingFrame:contents:"), frame, workspace().Send(sel("iconForFile:"), str(f)))
		items.Send(sel("addObject:"), item)
		item.Send(sel("release"))
	}
	source := objc.ID(class).Send(sel("new"))
	drags.mu.Lock()
	drags.ends[source] = func(operation uint) {
		releaseButton(app, window, at)
		done(Drop{Accepted: operation != 0, Copied: operation == dragCopy}, nil)
	}
	drags.mu.Unlock()
	if window.Send(sel("contentView")).Send(sel("beginDraggingSessionWithItems:event:source:"), items, event, source) == 0 {
		drags.mu.Lock()
		delete(drags.ends, source)
		drags.mu.Unlock()
		source.Send(sel("release"))
		return errors.New("drag: AppKit did not start a dragging session")
	}
	return nil
}

// releaseButton sends the toolkit the mouse-up event that AppKit consumes at
// the end of a drag (AvaloniaUI/Avalonia#17035); without it the toolkit would
// regard the button as pressed.
func releaseButton(app, window objc.ID, at point) {
	up := cls("NSEvent").Send(sel("mouseEventWithType:location:modifierFlags:timestamp:windowNumber:context:eventNumber:clickCount:pressure:"),
		uint(mouseUp), at, noModifier, float64(0), objc.Send[int](window, sel("windowNumber")), objc.ID(0), noEventNumber, clickOnce, noPressure)
	app.Send(sel("postEvent:atStart:"), up, true)
}
