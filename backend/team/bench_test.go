package team

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"ingot/backend/event"
	"ingot/backend/jobs"
)

// timed is a follower that says when a part of a log has come.
type timed struct{ came chan time.Time }

func (timed) Event(string, event.Event) error   { return nil }
func (timed) ConnectionChanged(err error) error { return err }
func (timed) Idle(context.Context) error        { return nil }

func (f timed) Log(Chunk) error {
	f.came <- time.Now()
	return nil
}

// How long after a worker wrote a line of a log its follower has it, over a
// server that syncs every message.
func BenchmarkLogLine(b *testing.B) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: b.TempDir(), SyncAlways: true, NoSigs: true, NoLog: true})
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(30 * time.Second) {
		b.Fatal("no server")
	}
	ctx, cancel := context.WithCancel(context.Background())
	join := func() *Station {
		st, err := Join(ctx, jobs.Server{URL: s.ClientURL()}, jobs.Options{})
		if err != nil {
			b.Fatal(err)
		}
		return st
	}
	there, here := join(), join()
	defer there.Close()
	defer here.Close()
	dir, f := b.TempDir(), timed{make(chan time.Time, 1)}
	log, err := os.Create(filepath.Join(dir, "kernel.log"))
	if err != nil {
		b.Fatal(err)
	}
	sender := there.Sender(Source{Build: "20260101-000000-abcd", Worker: "W1", Journal: filepath.Join(dir, "journal"), Logs: dir})
	done := make(chan error, 2)
	go func() { sender.Run(ctx, nil); done <- nil }()
	go func() { _, err := here.Follow(ctx, "20260101-000000-abcd", 0, f); done <- err }()
	var all []time.Duration
	for b.Loop() {
		begun := time.Now()
		if _, err := fmt.Fprintln(log, "  CC      kernel/sched/core.o"); err != nil {
			b.Fatal(err)
		}
		sender.Wake()
		all = append(all, (<-f.came).Sub(begun))
	}
	cancel()
	if err := errors.Join(<-done, <-done, log.Close()); err != nil && !errors.Is(err, context.Canceled) {
		b.Error(err)
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "ms/median")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "ms/p99")
	b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, "ms/max")
}
