package proof

import (
	"context"
	"sync"
	"time"
)

// Timed returns a booter that reports how long its machines run: ended is called once
// per machine, with the time when its start began, after it was killed or failed to
// start.
func Timed(b Booter, ended func(began time.Time)) Booter { return timed{b, ended} }

type timed struct {
	Booter
	ended func(began time.Time)
}

// Boot starts a machine.
func (t timed) Boot(ctx context.Context, req Request) (Machine, error) {
	began := time.Now()
	m, err := t.Booter.Boot(ctx, req)
	if err != nil {
		t.ended(began)
		return m, err
	}
	return &timedMachine{Machine: m, ended: func() { t.ended(began) }}, nil
}

type timedMachine struct {
	Machine
	once  sync.Once
	ended func()
}

// Kill ends the machine.
func (m *timedMachine) Kill() {
	m.Machine.Kill()
	m.once.Do(m.ended)
}
