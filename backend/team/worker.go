package team

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Worker is what a worker publishes about itself with every heartbeat.
type Worker struct {
	ID      string    `json:"id"`   // of the key that signs its evidence
	Key     string    `json:"key"`  // the public key, to be added to team.workers of a submitter's config.yaml
	Host    string    `json:"host"` // host name, for display only
	Version string    `json:"version"`
	OS      string    `json:"os"`      // GOOS
	Arch    string    `json:"arch"`    // GOARCH of the computer
	Builds  []string  `json:"builds"`  // architectures that it can build and boot
	Tools   []string  `json:"tools"`   // programs that it found: limactl, docker, qemu
	Accels  []string  `json:"accels"`  // arch/name of the accelerators that work: kvm, hvf, tcg
	Slots   int       `json:"slots"`   // builds that it runs at once
	Running []string  `json:"running"` // ids of the builds that it runs
	Seen    time.Time `json:"seen"`    // when the server received the last heartbeat
}

// HeartbeatInterval is the time between two heartbeats of a worker. A worker
// without a heartbeat for HeartbeatTimeout is regarded as offline. The server
// removes it from the list after workerTTL.
const (
	HeartbeatInterval = 10 * time.Second
	HeartbeatTimeout  = 45 * time.Second
	workerTTL         = 10 * time.Minute
)

// Classes returns the classes of the jobs that the worker accepts.
func (w Worker) Classes() []string {
	var out []string
	for _, arch := range w.Builds {
		out = append(out, class(w.Version, arch))
	}
	return out
}

// Can reports whether the worker can run the order.
func (w Worker) Can(o Order) bool { return slices.Contains(w.Classes(), o.Class()) }

// Live reports whether the last heartbeat is less than HeartbeatTimeout before
// now.
func (w Worker) Live(now time.Time) bool { return now.Sub(w.Seen) < HeartbeatTimeout }

// Heartbeat publishes the worker in the team's list of workers.
func (s *Station) Heartbeat(ctx context.Context, w Worker) error {
	if !validName.MatchString(w.ID) {
		return fmt.Errorf("worker: the id %q is invalid: it must be that of a signing key", w.ID)
	}
	data, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, err = s.workers.Put(ctx, w.ID, data)
	return err
}

// RemoveWorker removes a worker that stops from the team's list.
func (s *Station) RemoveWorker(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return s.workers.Delete(ctx, id)
}

// Workers lists the workers seen in the last ten minutes, sorted by host.
func (s *Station) Workers(ctx context.Context) ([]Worker, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	keys, err := s.workers.Keys(ctx)
	if errors.Is(err, jetstream.ErrNoKeysFound) {
		return []Worker{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("workers: %w", err)
	}
	out := []Worker{}
	for _, k := range keys {
		e, err := s.workers.Get(ctx, k)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("workers: %w", err)
		}
		var w Worker
		if json.Unmarshal(e.Value(), &w) != nil || w.ID != k {
			continue // not written by Ingot
		}
		w.Seen = e.Created().UTC()
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b Worker) int { return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}
