package desktop

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
)

// Intervals and limits. The toolkit has the pointer grab of the pressed button,
// so the source receives no pointer events and polls.
const (
	pointerPoll = 16 * time.Millisecond
	// repeatPosition is the time after which the position is sent again to a
	// target that refused the drop, although the pointer has not moved: pcmanfm
	// refuses first, and accepts 150 ms later.
	repeatPosition = 100 * time.Millisecond
	// answerLimit is how long after the release a target may still accept.
	answerLimit = 500 * time.Millisecond
	// replyLimit is how long after the release a busy target may take for its
	// reply.
	replyLimit = 5 * time.Second
	// finishLimit is how long a target may take to read the list of files.
	finishLimit = 10 * time.Second
)

// StartDrag starts dragging files out of a window while button 1 is pressed. It
// returns at once; done is called with the result, in a goroutine that ends
// with the drag or when ctx is done. window is not used on Linux.
func StartDrag(ctx context.Context, _ uintptr, files []string, done func(Drop, error)) error {
	files, err := dragFiles(files)
	if err != nil {
		return err
	}
	s, err := newDragSource(files)
	if err != nil {
		return err
	}
	go func() {
		defer s.x.close()
		done(s.run(ctx))
	}()
	return nil
}

// dragSource is a source of the XDND protocol, version 5
// (freedesktop.org/wiki/Specifications/XDND).
type dragSource struct {
	x     *x11
	types []xproto.Atom
	uris  []byte

	target         xproto.Window // under the pointer, 0 for none
	accepts        bool          // its latest reply
	asked          bool          // a position was sent and not answered
	at             uint32        // the position sent last
	sentAt         time.Time     // time of that
	copies         bool
	released       time.Time
	releasePointer pointer   // of the release
	firstReply     time.Time // the target's first reply after the release
	dropped        time.Time
}

func newDragSource(files []string) (*dragSource, error) {
	x, err := openX11()
	if err != nil {
		return nil, fmt.Errorf("drag: %w", err)
	}
	if err := x.acquireSelection("XdndSelection"); err != nil {
		x.close()
		return nil, fmt.Errorf("drag: %w", err)
	}
	var uris strings.Builder
	for _, f := range files {
		uris.WriteString(fileURI(f) + "\r\n") // RFC 2483
	}
	return &dragSource{x: x, types: []xproto.Atom{x.atom("text/uri-list"), x.atom("text/plain")}, uris: []byte(uris.String())}, nil
}

func (s *dragSource) run(ctx context.Context) (Drop, error) {
	ctx, cancel := context.WithTimeout(ctx, dragLimit)
	defer cancel()
	tick := time.NewTicker(pointerPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.leave()
			return Drop{}, fmt.Errorf("drag: %w", ctx.Err())
		case e, ok := <-s.x.events:
			if !ok {
				return Drop{}, errors.New("drag: the X server has closed the connection")
			}
			if finished := s.receive(e); finished {
				return Drop{Accepted: true, Copied: s.copies}, nil
			}
		case <-tick.C:
			if over, err := s.poll(); over || err != nil {
				return Drop{Accepted: !s.dropped.IsZero()}, err
			}
		}
	}
}

// poll follows the pointer; over reports that the drag ended without a target
// that completes it.
func (s *dragSource) poll() (over bool, err error) {
	if !s.dropped.IsZero() {
		if time.Since(s.dropped) > finishLimit {
			return true, errors.New("drag: the target accepted the files and did not report that it finished")
		}
		return false, nil
	}
	if s.released.IsZero() {
		p, err := s.x.pointer()
		if err != nil {
			return true, fmt.Errorf("drag: %w", err)
		}
		s.releasePointer = p
		if p.down {
			s.move(p)
			return false, nil
		}
		s.released = time.Now()
	}
	s.move(s.releasePointer)
	switch {
	case s.target != 0 && s.accepts && !s.asked:
		s.dropped = time.Now()
		s.x.sendXdnd(s.target, "XdndDrop", 0, uint32(xproto.TimeCurrentTime))
	case s.target == 0,
		!s.accepts && !s.firstReply.IsZero() && time.Since(s.firstReply) > answerLimit,
		time.Since(s.released) > replyLimit:
		s.leave()
		return true, nil
	}
	return false, nil
}

// move sends the pointer's position to the target.
func (s *dragSource) move(p pointer) {
	if p.target != s.target {
		s.leave()
		s.target, s.accepts, s.asked, s.at = p.target, false, false, 0
		if s.target != 0 {
			s.x.sendXdnd(s.target, "XdndEnter", min(p.version, 5)<<24, uint32(s.types[0]), uint32(s.types[1]), 0)
		}
	}
	if s.target == 0 || s.asked || p.at == s.at && (s.accepts || time.Since(s.sentAt) < repeatPosition) {
		return
	}
	s.x.sendXdnd(s.target, "XdndPosition", 0, p.at, uint32(xproto.TimeCurrentTime), uint32(s.x.atom("XdndActionCopy")))
	s.asked, s.at, s.sentAt = true, p.at, time.Now()
}

func (s *dragSource) leave() {
	if s.target != 0 && s.dropped.IsZero() {
		s.x.sendXdnd(s.target, "XdndLeave")
	}
}

// receive handles a message; finished reports that the target is done.
func (s *dragSource) receive(e xgb.Event) (finished bool) {
	switch e := e.(type) {
	case xproto.ClientMessageEvent:
		d := e.Data.Data32
		if len(d) < 5 || xproto.Window(d[0]) != s.target {
			return false // from a target that the pointer has left
		}
		switch e.Type {
		case s.x.atom("XdndStatus"):
			s.asked, s.accepts = false, d[1]&1 == 1
			if s.firstReply.IsZero() && !s.released.IsZero() {
				s.firstReply = time.Now()
			}
			s.copies = xproto.Atom(d[4]) == s.x.atom("XdndActionCopy")
		case s.x.atom("XdndFinished"):
			return !s.dropped.IsZero()
		}
	case xproto.SelectionRequestEvent:
		s.x.answer(e, s.types, s.uris)
	}
	return false
}
