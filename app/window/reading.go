package window

import "context"

// reading reads data for a view in the background, one read at a time. Requests
// during a read lead to one more read after it. Its methods run on the main
// goroutine.
type reading[T any] struct {
	w           *Window
	read        func(ctx context.Context) (T, error)
	show        func(T, error)
	busy, again bool
	over        bool
}

func (r *reading[T]) start() {
	if r.busy || r.over {
		r.again = true
		return
	}
	r.busy, r.again = true, false
	var got T
	r.w.do(func(ctx context.Context) (err error) {
		got, err = r.read(ctx)
		return err
	}, func(err error) {
		r.busy = false
		if r.over {
			return
		}
		r.show(got, err)
		if r.again {
			r.start()
		}
	})
}

// leave discards the result of a read in progress.
func (r *reading[T]) leave() { r.over = true }
