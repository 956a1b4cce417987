//go:build !face

package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"ingot/backend/home"
)

// startLimit bounds the start of the embedded server, which usually takes 0.1
// s.
const startLimit = 20 * time.Second

// Embedded starts a NATS server in this process, with its storage in the folder
// dir, and opens its queue. The server listens on no socket. Only one process
// at a time may use the folder. Jobs that were running when the previous
// process ended are delivered again at once. Close shuts the server down.
func Embedded(ctx context.Context, dir string, opt Options) (*Queue, error) {
	s, err := server.NewServer(&server.Options{ServerName: "ingot", DontListen: true, JetStream: true, StoreDir: dir, SyncAlways: true,
		NoSigs: true, NoLog: true, JetStreamMaxMemory: 16 << 20, JetStreamMaxStore: 1 << 30})
	if err != nil {
		return nil, home.Full(dir, "the queue of builds", fmt.Errorf("queue: %w", err))
	}
	s.Start()
	stop := func() {
		s.Shutdown()
		s.WaitForShutdown()
	}
	q, err := openIn(ctx, s, opt)
	if err != nil {
		stop()
		return nil, home.Full(dir, "the queue of builds", err)
	}
	q.stop, q.dir = stop, dir
	return q, nil
}

func openIn(ctx context.Context, s *server.Server, opt Options) (*Queue, error) {
	if !s.ReadyForConnections(startLimit) {
		return nil, errors.New("queue: the server did not start: is its folder writable?")
	}
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	q, err := open(ctx, conn, opt, true)
	if err != nil {
		conn.Close()
	}
	return q, err
}
