package desktop

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
)

// x11 is a second client of the X server, beside the toolkit's, with an
// invisible window.
type x11 struct {
	conn   *xgb.Conn
	root   xproto.Window
	window xproto.Window
	atoms  map[string]xproto.Atom
	events chan xgb.Event
	ended  chan struct{}
}

// silenceLogger stops the library from writing to standard error: a missing
// ~/.Xauthority is no error if the server does not need one.
var silenceLogger = sync.OnceFunc(func() { xgb.Logger.SetOutput(io.Discard) })

func openX11() (*x11, error) {
	silenceLogger()
	conn, err := xgb.NewConn()
	if err != nil {
		return nil, fmt.Errorf("no X server: %w", err)
	}
	screen := xproto.Setup(conn).DefaultScreen(conn)
	x := &x11{conn: conn, root: screen.Root, atoms: map[string]xproto.Atom{}, events: make(chan xgb.Event, 64), ended: make(chan struct{})}
	if x.window, err = xproto.NewWindowId(conn); err == nil {
		err = xproto.CreateWindowChecked(conn, 0, x.window, x.root, -10, -10, 1, 1, 0, xproto.WindowClassInputOnly, screen.RootVisual, xproto.CwOverrideRedirect, []uint32{1}).Check()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	go x.read()
	return x, nil
}

// read forwards events until the connection is closed. It ignores errors of
// requests without a reply, which are about windows that were closed.
func (x *x11) read() {
	defer close(x.ended)
	defer close(x.events)
	for {
		e, err := x.conn.WaitForEvent()
		if e == nil && err == nil {
			return
		}
		if e != nil {
			select {
			case x.events <- e:
			default: // the drag has ended
			}
		}
	}
}

func (x *x11) close() {
	x.conn.Close()
	<-x.ended
}

// atom returns the atom of a name, or 0 if the connection is closed.
func (x *x11) atom(name string) xproto.Atom {
	if a, ok := x.atoms[name]; ok {
		return a
	}
	r, err := xproto.InternAtom(x.conn, false, uint16(len(name)), name).Reply()
	if err != nil {
		return 0
	}
	x.atoms[name] = r.Atom
	return r.Atom
}

// acquireSelection makes our window the owner of a selection.
func (x *x11) acquireSelection(selection string) error {
	xproto.SetSelectionOwner(x.conn, x.window, x.atom(selection), xproto.TimeCurrentTime)
	r, err := xproto.GetSelectionOwner(x.conn, x.atom(selection)).Reply()
	if err != nil {
		return err
	}
	if r.Owner != x.window {
		return errors.New("another drag is under way")
	}
	return nil
}

// number returns the first number of a window's property.
func (x *x11) number(w xproto.Window, name string) (uint32, bool) {
	r, err := xproto.GetProperty(x.conn, false, w, x.atom(name), xproto.GetPropertyTypeAny, 0, 1).Reply()
	if err != nil || r.Format != 32 || r.ValueLen == 0 {
		return 0, false
	}
	return xgb.Get32(r.Value), true
}

// sendXdnd sends an XDND message: the id of our window, then data.
func (x *x11) sendXdnd(to xproto.Window, kind string, data ...uint32) {
	d := make([]uint32, 5)
	d[0] = uint32(x.window)
	copy(d[1:], data)
	e := xproto.ClientMessageEvent{Format: 32, Window: to, Type: x.atom(kind), Data: xproto.ClientMessageDataUnionData32New(d)}
	through := to
	if p, ok := x.number(to, "XdndProxy"); ok {
		through = xproto.Window(p)
	}
	xproto.SendEvent(x.conn, false, through, 0, string(e.Bytes()))
}

// pointer is the position of the pointer, x<<16|y on the screen, and the window
// below it that accepts drops, with the window's version of XDND.
type pointer struct {
	target  xproto.Window
	version uint32
	at      uint32
	down    bool
}

// pointer searches from the root window down to the first window that accepts
// drops.
func (x *x11) pointer() (pointer, error) {
	var p pointer
	for w := x.root; ; {
		q, err := xproto.QueryPointer(x.conn, w).Reply()
		if err != nil && w == x.root {
			return p, err
		}
		if err != nil {
			return p, nil // the window was closed meanwhile
		}
		p.at = uint32(uint16(q.RootX))<<16 | uint32(uint16(q.RootY))
		p.down = q.Mask&xproto.ButtonMask1 != 0
		if w != x.root {
			if v, ok := x.number(w, "XdndAware"); ok {
				p.target, p.version = w, v
				return p, nil
			}
		}
		if q.Child == 0 || q.Child == w {
			return p, nil
		}
		w = q.Child
	}
}

// answer sends a requestor the selection in one of the types, or the list of
// types.
func (x *x11) answer(e xproto.SelectionRequestEvent, types []xproto.Atom, data []byte) {
	property := e.Property
	if property == 0 { // an obsolete client: ICCCM 2.2
		property = e.Target
	}
	n := xproto.SelectionNotifyEvent{Time: e.Time, Requestor: e.Requestor, Selection: e.Selection, Target: e.Target, Property: property}
	switch e.Target {
	case x.atom("TARGETS"):
		all := append([]xproto.Atom{x.atom("TARGETS")}, types...)
		b := make([]byte, 4*len(all))
		for i, t := range all {
			xgb.Put32(b[4*i:], uint32(t))
		}
		xproto.ChangeProperty(x.conn, xproto.PropModeReplace, e.Requestor, property, xproto.AtomAtom, 32, uint32(len(all)), b)
	case types[0], types[1]:
		xproto.ChangeProperty(x.conn, xproto.PropModeReplace, e.Requestor, property, e.Target, 8, uint32(len(data)), data)
	default:
		n.Property = 0
	}
	xproto.SendEvent(x.conn, false, e.Requestor, 0, string(n.Bytes()))
}
