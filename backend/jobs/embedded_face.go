//go:build face

package jobs

import (
	"context"
	"errors"
)

// Embedded returns an error in a program built with the tag face. Such a
// program leaves builds to the owner, another process, and saves the server's
// memory and its CPU sampler, which wakes a process that links it once a second
// (nats-server/v2/server/pse).
func Embedded(context.Context, string, Options) (*Queue, error) {
	return nil, errors.New("queue: this program is built without the queue (build tag face): builds run in `ingot`, which must be installed beside it")
}
