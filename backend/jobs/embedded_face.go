//go:build face

package jobs

import (
	"context"
	"errors"
)

// Embedded starts nothing in a program built with the tag face: faces leave
// builds to the owner, another program, and do without the server's memory and
// its sampler, which wakes any process that it is linked into once a second
// (nats-server/v2/server/pse).
func Embedded(context.Context, string, Options) (*Queue, error) {
	return nil, errors.New("queue: this program is a face and holds no queue: the owner, `ingot`, lies beside it")
}
