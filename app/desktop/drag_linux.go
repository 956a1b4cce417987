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

// How the pointer is watched. The toolkit holds the grab that came with the
// button, so the source asks instead of being told.
const (
	pointerPoll = 16 * time.Millisecond
	// askAgain is when a target that says no is asked again although the pointer
	// rests: pcmanfm says no, and 150 ms later yes.
	askAgain = 100 * time.Millisecond
	// answerLimit is how long after the release a target may still change a no.
	answerLimit = 500 * time.Millisecond
	// silentLimit is how long after the release a target that is busy may owe
	// its answer.
	silentLimit = 5 * time.Second
	// finishLimit is how long a target may take for reading the list of files.
	finishLimit = 10 * time.Second
)

// StartDrag begins to drag files out of a window, while button 1 is held. It
// returns at once; done gets the end, in a goroutine that ends with the drag or
// with ctx. window is not needed here.
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

	target   xproto.Window // under the pointer, 0 for none
	accepts  bool          // its last word
	asked    bool          // a position has no answer yet
	at       uint32        // the position told last
	told     time.Time     // when
	copies   bool
	released time.Time
	place    pointer   // of the release
	heard    time.Time // the target's first word after the release
	dropped  time.Time
}

func newDragSource(files []string) (*dragSource, error) {
	x, err := openX11()
	if err != nil {
		return nil, fmt.Errorf("drag: %w", err)
	}
	if err := x.own("XdndSelection"); err != nil {
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
				return Drop{}, errors.New("drag: the X server is gone")
			}
			if finished := s.take(e); finished {
				return Drop{Accepted: true, Copied: s.copies}, nil
			}
		case <-tick.C:
			if over, err := s.look(); over || err != nil {
				return Drop{Accepted: !s.dropped.IsZero()}, err
			}
		}
	}
}

// look follows the pointer; over tells that the drag ended without a target
// that finishes it.
func (s *dragSource) look() (over bool, err error) {
	if !s.dropped.IsZero() {
		if time.Since(s.dropped) > finishLimit {
			return true, errors.New("drag: the target took the files and never said that it is done")
		}
		return false, nil
	}
	if s.released.IsZero() {
		p, err := s.x.pointer()
		if err != nil {
			return true, fmt.Errorf("drag: %w", err)
		}
		s.place = p
		if p.down {
			s.move(p)
			return false, nil
		}
		s.released = time.Now()
	}
	s.move(s.place)
	switch {
	case s.target != 0 && s.accepts && !s.asked:
		s.dropped = time.Now()
		s.x.tell(s.target, "XdndDrop", 0, uint32(xproto.TimeCurrentTime))
	case s.target == 0,
		!s.accepts && !s.heard.IsZero() && time.Since(s.heard) > answerLimit,
		time.Since(s.released) > silentLimit:
		s.leave()
		return true, nil
	}
	return false, nil
}

// move tells the target where the pointer is.
func (s *dragSource) move(p pointer) {
	if p.target != s.target {
		s.leave()
		s.target, s.accepts, s.asked, s.at = p.target, false, false, 0
		if s.target != 0 {
			s.x.tell(s.target, "XdndEnter", min(p.version, 5)<<24, uint32(s.types[0]), uint32(s.types[1]), 0)
		}
	}
	if s.target == 0 || s.asked || p.at == s.at && (s.accepts || time.Since(s.told) < askAgain) {
		return
	}
	s.x.tell(s.target, "XdndPosition", 0, p.at, uint32(xproto.TimeCurrentTime), uint32(s.x.atom("XdndActionCopy")))
	s.asked, s.at, s.told = true, p.at, time.Now()
}

func (s *dragSource) leave() {
	if s.target != 0 && s.dropped.IsZero() {
		s.x.tell(s.target, "XdndLeave")
	}
}

// take takes a message in; finished tells that the target is done.
func (s *dragSource) take(e xgb.Event) (finished bool) {
	switch e := e.(type) {
	case xproto.ClientMessageEvent:
		d := e.Data.Data32
		if len(d) < 5 || xproto.Window(d[0]) != s.target {
			return false // of a target that was left
		}
		switch e.Type {
		case s.x.atom("XdndStatus"):
			s.asked, s.accepts = false, d[1]&1 == 1
			if s.heard.IsZero() && !s.released.IsZero() {
				s.heard = time.Now()
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
