package desktop

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/ebitengine/purego/objc"
)

// Values of UserNotifications' enumerations (UNAuthorizationOptions,
// UNNotificationPresentationOptions, UNNotificationActionOptions; Apple's
// documentation of each).
const (
	unAlert, unSound  = 1 << 2, 1 << 1
	unBanner, unList  = 1 << 4, 1 << 3
	unForeground      = 1 << 2
	unDefaultAction   = "com.apple.UNNotificationDefaultActionIdentifier"
	maxCategories     = 64
	categoryOfActions = "ingot/"
)

// centerNotifier shows notifications with UNUserNotificationCenter.
type centerNotifier struct {
	center objc.ID

	mu         sync.Mutex
	categories map[string]objc.ID // by the keys of their actions
	refused    error              // why the system shows none, as far as it has said
}

// clicks is the function that the single delegate calls. The delegate exists
// until the process ends.
var clicks struct {
	mu      sync.Mutex
	invoked func(id, action string)
}

// OpenNotifier makes this process show notifications. It must be called before
// the application has finished launching, so that a click that starts the
// program is received. invoked is called on a thread of the system.
//
// currentNotificationCenter aborts a process without a bundle, so that is
// checked first. The system also requires a signed bundle.
func OpenNotifier(invoked func(id, action string)) (Notifier, error) {
	if err := loadFrameworks(); err != nil {
		return nil, fmt.Errorf("notifications: %w", err)
	}
	var n *centerNotifier
	var err error
	pooled(func() { n, err = openCenter(invoked) })
	if err != nil {
		return nil, err
	}
	return n, nil
}

func openCenter(invoked func(id, action string)) (*centerNotifier, error) {
	if bundleID() == "" {
		return nil, errors.New("notifications: this program runs outside its bundle Ingot.app: start that one")
	}
	class, err := delegateClass()
	if err != nil {
		return nil, fmt.Errorf("notifications: %w", err)
	}
	clicks.mu.Lock()
	clicks.invoked = invoked
	clicks.mu.Unlock()
	center := cls("UNUserNotificationCenter").Send(sel("currentNotificationCenter"))
	center.Send(sel("setDelegate:"), objc.ID(class).Send(sel("new"))) // the centre does not retain it, so it is never released
	n := &centerNotifier{center: center, categories: map[string]objc.ID{}}
	answered := objc.NewBlock(func(_ objc.Block, granted bool, why objc.ID) { n.answered(granted, why) })
	defer answered.Release()
	center.Send(sel("requestAuthorizationWithOptions:completionHandler:"), uint(unAlert|unSound), answered)
	return n, nil
}

// answered keeps whether the system shows notifications.
func (c *centerNotifier) answered(granted bool, why objc.ID) {
	guarded("the answer about notifications", func() {
		reason := ""
		if why != 0 {
			reason = errorText(why)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.refused = noteRefused(granted, reason)
	})
}

// delegateClass registers the class once.
var delegateClass = sync.OnceValues(func() (objc.Class, error) {
	return objc.RegisterClass("IngotNotificationDelegate", objc.GetClass("NSObject"), []*objc.Protocol{objc.GetProtocol("UNUserNotificationCenterDelegate")}, nil, []objc.MethodDef{
		{Cmd: sel("userNotificationCenter:didReceiveNotificationResponse:withCompletionHandler:"), Fn: received},
		{Cmd: sel("userNotificationCenter:willPresentNotification:withCompletionHandler:"), Fn: present},
	})
})

// received is called when a notification or one of its buttons is clicked.
func received(_ objc.ID, _ objc.SEL, _, response objc.ID, done objc.Block) {
	guarded("a click on a notification", func() { clicked(response) })
	callBlock(done)
}

func clicked(response objc.ID) {
	key := text(response.Send(sel("actionIdentifier")))
	if key == unDefaultAction {
		key = ActDefault
	}
	id := text(response.Send(sel("notification")).Send(sel("request")).Send(sel("identifier")))
	clicks.mu.Lock()
	invoked := clicks.invoked
	clicks.mu.Unlock()
	if invoked != nil && !strings.HasPrefix(key, "com.apple.") { // it was only dismissed
		invoked(id, key)
	}
}

// present shows notifications although the menu's process is in the foreground.
func present(_ objc.ID, _ objc.SEL, _, _ objc.ID, done objc.Block) {
	callBlock(done, unBanner|unList)
}

// Show adds a notification; the system replaces one with the same identifier. Its
// refusal comes later: the next call returns it.
func (c *centerNotifier) Show(n Note) error {
	added := objc.NewBlock(func(_ objc.Block, why objc.ID) { c.answered(true, why) })
	defer added.Release()
	pooled(func() {
		content := cls("UNMutableNotificationContent").Send(sel("new"))
		content.Send(sel("setTitle:"), str(n.Title))
		content.Send(sel("setBody:"), str(n.Body))
		content.Send(sel("setCategoryIdentifier:"), str(c.category(n.Actions)))
		request := cls("UNNotificationRequest").Send(sel("requestWithIdentifier:content:trigger:"), str(n.ID), content, objc.ID(0))
		c.center.Send(sel("addNotificationRequest:withCompletionHandler:"), request, added)
		content.Send(sel("release"))
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// category returns the name of a set of buttons, and registers it the first
// time. The system accepts only all sets at once.
func (c *centerNotifier) category(actions []NoteAction) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := categoryOfActions
	var buttons []objc.ID
	for _, a := range actions {
		if a.Key == ActDefault { // a click on the note has no button
			continue
		}
		name += a.Key + "/"
		buttons = append(buttons, cls("UNNotificationAction").Send(sel("actionWithIdentifier:title:options:"), str(a.Key), str(a.Label), uint(unForeground)))
	}
	if _, known := c.categories[name]; known || len(c.categories) >= maxCategories {
		return name
	}
	category := cls("UNNotificationCategory").Send(sel("categoryWithIdentifier:actions:intentIdentifiers:options:"), str(name), array(buttons...), array(), uint(0))
	c.categories[name] = category.Send(sel("retain"))
	all := array()
	for _, known := range c.categories {
		all.Send(sel("addObject:"), known)
	}
	c.center.Send(sel("setNotificationCategories:"), cls("NSSet").Send(sel("setWithArray:"), all))
	return name
}

// Close stops calling invoked; the delegate remains.
func (c *centerNotifier) Close() error {
	clicks.mu.Lock()
	defer clicks.mu.Unlock()
	clicks.invoked = nil
	return nil
}
