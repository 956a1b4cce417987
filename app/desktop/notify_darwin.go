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
	granted := objc.NewBlock(func(objc.Block, bool, objc.ID) {})      // the system's settings show a refusal
	defer granted.Release()
	center.Send(sel("requestAuthorizationWithOptions:completionHandler:"), uint(unAlert|unSound), granted)
	return &centerNotifier{center: center, categories: map[string]objc.ID{}}, nil
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
	done.Invoke()
}

// present shows notifications although the menu's process is in the foreground.
func present(_ objc.ID, _ objc.SEL, _, _ objc.ID, done objc.Block) {
	done.Invoke(uint(unBanner | unList))
}

// Show adds a notification; the system replaces one with the same identifier.
func (c *centerNotifier) Show(n Note) error {
	pooled(func() {
		content := cls("UNMutableNotificationContent").Send(sel("new"))
		content.Send(sel("setTitle:"), str(n.Title))
		content.Send(sel("setBody:"), str(n.Body))
		content.Send(sel("setCategoryIdentifier:"), str(c.category(n.Actions)))
		request := cls("UNNotificationRequest").Send(sel("requestWithIdentifier:content:trigger:"), str(n.ID), content, objc.ID(0))
		c.center.Send(sel("addNotificationRequest:withCompletionHandler:"), request, objc.ID(0))
		content.Send(sel("release"))
	})
	return nil
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
