package jobs

import (
	"context"
	"fmt"
	"testing"
)

// bench runs submit → start in a queue with a worker.
func benchStart(b *testing.B, q *Queue, n *int) {
	b.Helper()
	started := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Worker{Slots: 2, Handle: func(context.Context, Job, Attempt) error {
			started <- struct{}{}
			return nil
		}}.Run(ctx, q)
	}()
	*n++
	if err := q.Submit(b.Context(), Job{ID: fmt.Sprint("warm", *n), Target: fmt.Sprint("w", *n), Lane: Interactive}); err != nil {
		b.Fatal(err)
	}
	<-started
	for b.Loop() {
		*n++
		if err := q.Submit(b.Context(), Job{ID: fmt.Sprint("j", *n), Target: fmt.Sprint("t", *n), Lane: Interactive}); err != nil {
			b.Fatal(err)
		}
		<-started
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// Submit → start with the server up.
func BenchmarkStart(b *testing.B) {
	q, err := Embedded(b.Context(), b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	n := 0
	benchStart(b, q, &n)
}

// Submit → start from cold: server, stream, consumers and worker.
func BenchmarkCold(b *testing.B) {
	dir := b.TempDir()
	n := 0
	for b.Loop() {
		q, err := Embedded(b.Context(), dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		started, ctx, cancel, done := make(chan struct{}, 1), context.Context(nil), context.CancelFunc(nil), make(chan error, 1)
		ctx, cancel = context.WithCancel(context.Background())
		go func() {
			done <- Worker{Slots: 1, Handle: func(context.Context, Job, Attempt) error {
				started <- struct{}{}
				return nil
			}}.Run(ctx, q)
		}()
		n++
		if err := q.Submit(b.Context(), Job{ID: fmt.Sprint("j", n), Target: "t", Lane: Interactive}); err != nil {
			b.Fatal(err)
		}
		<-started
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		q.Close()
	}
}
