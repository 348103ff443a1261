package process

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
)

const (
	// reconnectFirst and reconnectMost bound the pause before a watcher that lost
	// the keeper looks for it again; a keeper that was there for longer than the
	// most is looked for at once.
	reconnectFirst = 50 * time.Millisecond
	reconnectMost  = 5 * time.Second
)

// Watch tells every change. It keeps a keeper alive: one that dies is followed
// by another at once.
func (r *Runtime) Watch(ctx context.Context, emit func(runtime.Event)) error {
	var pause time.Duration
	for {
		told := false
		since := time.Now()
		err := r.converse(ctx, wire.Request{Op: wire.OpWatch}, func(connection net.Conn) error {
			return r.follow(connection, func(event runtime.Event) {
				told = true
				emit(event)
			})
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if told && time.Since(since) > reconnectMost {
			pause = 0
		}
		r.logger.Warn("keeper was lost, it is looked for again", "error", err, "pause", pause)
		if pause > 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(pause/2 + rand.N(pause/2)):
			}
		}
		pause = min(max(2*pause, reconnectFirst), reconnectMost)
	}
}

// errEnded is returned when a stream has ended that had brought something.
var errEnded = errors.New("stream from keeper ended")

func (r *Runtime) follow(connection net.Conn, emit func(runtime.Event)) error {
	var response wire.Response
	if err := receive(connection, &response); err != nil {
		return err
	}
	emit(runtime.Event{Resync: true})
	for {
		response = wire.Response{}
		if err := wire.Read(connection, &response); err != nil {
			return fmt.Errorf("%w: %w", errEnded, err)
		}
		switch {
		case response.Resync:
			emit(runtime.Event{Resync: true})
		case response.Instance != nil && response.Instance.Name.Agent == r.cfg.AgentName:
			emit(runtime.Event{Instance: instanceOf(*response.Instance), Gone: response.Gone})
		}
	}
}
