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

// Worker is what a worker says of itself at every heartbeat.
type Worker struct {
	ID      string    `json:"id"`   // of the key that signs its evidence
	Key     string    `json:"key"`  // that public key: what a submitter writes under team.workers
	Host    string    `json:"host"` // its name, for people
	Version string    `json:"version"`
	OS      string    `json:"os"`      // as Go names it
	Arch    string    `json:"arch"`    // of the computer
	Builds  []string  `json:"builds"`  // architectures of targets that it can build and boot
	Tools   []string  `json:"tools"`   // what it found: limactl, docker, qemu
	Accels  []string  `json:"accels"`  // accelerators that work: kvm, hvf, tcg; arch/name
	Slots   int       `json:"slots"`   // builds at once
	Running []string  `json:"running"` // builds
	Seen    time.Time `json:"seen"`    // the server's time of the last heartbeat
}

// Beat is the time between two heartbeats; a worker that was silent for Silent
// is not counted on; the server forgets it after a while.
const (
	Beat      = 10 * time.Second
	Silent    = 45 * time.Second
	forgotten = 10 * time.Minute
)

// Classes are those of the orders that it takes.
func (w Worker) Classes() []string {
	var out []string
	for _, arch := range w.Builds {
		out = append(out, class(w.Version, arch))
	}
	return out
}

// Can tells whether the worker takes the order.
func (w Worker) Can(o Order) bool { return slices.Contains(w.Classes(), o.Class()) }

// Live tells whether its last heartbeat is not long ago.
func (w Worker) Live(now time.Time) bool { return now.Sub(w.Seen) < Silent }

// Show is a heartbeat.
func (s *Station) Show(ctx context.Context, w Worker) error {
	if !word.MatchString(w.ID) {
		return fmt.Errorf("worker: %q is no id", w.ID)
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

// Hide takes a worker that ends from the list.
func (s *Station) Hide(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return s.workers.Delete(ctx, id)
}

// Workers lists those that were seen in the last ten minutes, by host.
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
			continue // not of this program
		}
		w.Seen = e.Created().UTC()
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b Worker) int { return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}
