package limits

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// cutSlow runs a handler that sends, and ends the call when its client takes a
// message for too long. A client that takes nothing at all would hold everything
// that the handler has, for as long as its connection lives: gRPC's send waits
// until there is room, and only the end of the call ends that.
func (c *Calls) cutSlow(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	s := &timedStream{ServerStream: stream, ctx: ctx}
	ended := make(chan error, 1)
	// It ends with this call, at the latest: what it waits for does.
	go func() { ended <- handler(srv, s) }()
	look := time.NewTicker(c.cfg.SlowAfter / 4)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-look.C:
			if waits := s.waits(); waits >= c.cfg.SlowAfter {
				return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_SLOW_CONSUMER,
					"call %s: its client has not taken a message for %s; resume, or start again", info.FullMethod, waits.Round(time.Millisecond))
			}
		}
	}
}

// timedStream knows since when a message is being sent.
type timedStream struct {
	grpc.ServerStream
	ctx  context.Context
	busy atomic.Pointer[time.Time]
}

func (s *timedStream) Context() context.Context { return s.ctx }

// SendMsg sends a message.
func (s *timedStream) SendMsg(m any) error {
	now := time.Now()
	s.busy.Store(&now)
	defer s.busy.Store(nil)
	return s.ServerStream.SendMsg(m)
}

// waits returns for how long a message has not been taken.
func (s *timedStream) waits() time.Duration {
	if since := s.busy.Load(); since != nil {
		return time.Since(*since)
	}
	return 0
}
