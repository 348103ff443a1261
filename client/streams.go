package client

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// receive reads a stream to its end.
func receive[T any](stream grpc.ServerStreamingClient[T], handle func(*T) error) error {
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := handle(message); err != nil {
			return &handlerError{err}
		}
	}
}

// handlerError tells what the caller's handler returned from what went wrong on
// the way.
type handlerError struct{ err error }

func (e *handlerError) Error() string { return e.err.Error() }
func (e *handlerError) Unwrap() error { return e.err }

// ErrStop may be returned by a handler to end a watch or a log without an error.
var ErrStop = errors.New("stop")

// Watch calls handle with the state and every change after it, until the context
// ends or handle returns an error (ErrStop ends it with nil). When a server is
// lost, or does not answer any more for 15 s, it goes on at another: desired
// state, configs and registered agents included, from the revision it has seen, with
// no gap and no repetition; a watch that also covers observed state begins again with
// a snapshot (SnapshotBegin is set: forget what you have), since observed state has
// no revisions.
func (c *Client) Watch(ctx context.Context, req *argosyv1.WatchRequest, handle func(*argosyv1.WatchResponse) error) error {
	next := proto.CloneOf(req)
	inSnapshot := false
	return c.stream(ctx, "watch",
		func(ctx context.Context, stub services, heard func()) error {
			defer c.whenQuiet(heard)()
			stream, err := stub.Watch(ctx, next)
			if err != nil {
				return err
			}
			return receive(stream, func(message *argosyv1.WatchResponse) error {
				heard()
				if err := handle(message); err != nil {
					return err
				}
				inSnapshot = (inSnapshot || message.GetSnapshotBegin()) && !message.GetSnapshotEnd()
				switch {
				case !req.GetOmitObserved() || inSnapshot:
					// What the caller had is not what he has now, and half a snapshot is
					// worth nothing.
					next.AfterRevision, next.Incarnation = 0, ""
				case !inSnapshot:
					next.AfterRevision, next.Incarnation = message.GetHeader().GetRevision(), message.GetHeader().GetIncarnation()
				}
				return nil
			})
		})
}

// Logs calls handle with what workloads print. Once it has begun it does not go on
// at another server by itself: FollowLogs does.
func (c *Client) Logs(ctx context.Context, req *argosyv1.LogsRequest, handle func(*argosyv1.LogsResponse) error) error {
	return c.logs(ctx, req, func() {}, handle)
}

// logs is Logs that tells when a try ends that was answered.
func (c *Client) logs(ctx context.Context, req *argosyv1.LogsRequest, answered func(), handle func(*argosyv1.LogsResponse) error) error {
	begun := false
	return c.stream(ctx, "read logs",
		func(ctx context.Context, stub services, heard func()) error {
			defer c.whenQuiet(func() { heard(); answered() })()
			stream, err := stub.Logs(ctx, req)
			if err != nil {
				return err
			}
			err = receive(stream, func(message *argosyv1.LogsResponse) error {
				heard()
				begun = true
				return handle(message)
			})
			if begun {
				answered()
			}
			if err != nil && begun {
				return &handlerError{err}
			}
			return err
		})
}

// quiet is for how long a stream must have been open without a word to count as
// answered. In half of it a server is given up that is gone, and one that finds no
// leader has said so.
const quiet = 2 * (silence + noAnswer)

// whenQuiet returns what calls answered at the end of a stream that has begun now,
// if it was open for so long.
func (c *Client) whenQuiet(answered func()) (ended func()) {
	began := c.now()
	return func() {
		if c.now()-began > int64(quiet) {
			answered()
		}
	}
}

// stream keeps a stream going over the endpoints until it ends by itself, by its
// handler or by its context. Rounds in which no endpoint answers are bounded by
// the client's timeout, from the end of the last try that was answered: for how
// long nothing had happened before it ended does not count.
func (c *Client) stream(ctx context.Context, what string, try func(ctx context.Context, stub services, heard func()) error) error {
	failed := newFailures(&request{what: what})
	lost := c.now()
	for round := 0; ; round++ {
		for range c.endpoints {
			index := int(c.preferred.Load())
			progress := false
			trying, over := context.WithCancel(ctx)
			err := try(trying, c.endpoints[index].stub(), func() {
				progress = true
				c.heard(index)
			})
			// One that its handler has ended goes on at the server unless it is told.
			over()
			if progress {
				round, lost = 0, c.now()
				failed = newFailures(&request{what: what})
			}
			var handled *handlerError
			switch {
			case err == nil:
				return nil
			case errors.As(err, &handled):
				if errors.Is(err, ErrStop) {
					return nil
				}
				return handled.err
			case ctx.Err() != nil:
				return context.Cause(ctx)
			}
			failed.add(c.endpoints[index].address, err)
			if !movesOn(err) || !heed(ctx, err) {
				return failed.verdict(ctx)
			}
			c.abandon(index)
		}
		if c.now()-lost > int64(c.config.Timeout) || !pause(ctx, round) {
			return failed.verdict(ctx)
		}
	}
}
