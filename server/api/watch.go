package api

import (
	"context"
	"errors"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/argosy-cluster/argosy/fsm"
	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

type watchStream = grpc.ServerStreamingServer[argosyv1.WatchResponse]

// watch is one watch that is under way.
type watch struct {
	*Service
	req    *argosyv1.WatchRequest
	names  map[string]struct{}
	stream watchStream
	// revision is the one up to which everything desired was sent.
	revision uint64
	desired  *fsm.Subscription
	seen     *observed.Subscription
}

// Watch sends the state at one revision and then every change after it. A
// watcher that is too slow for the feeds is cut off.
func (s *Service) Watch(req *argosyv1.WatchRequest, stream watchStream) error {
	w := &watch{Service: s, req: req, stream: stream}
	if len(req.GetNames()) > 0 {
		w.names = make(map[string]struct{}, len(req.GetNames()))
		for _, name := range req.GetNames() {
			w.names[name] = struct{}{}
		}
	}
	if err := w.begin(); err != nil {
		return cutOff(err)
	}
	return cutOff(w.follow())
}

// cutOff says in the API's words why a watch ended.
func cutOff(err error) error {
	switch {
	case errors.Is(err, fsm.ErrCompacted), errors.Is(err, observed.ErrCompacted):
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_SLOW_CONSUMER,
			"watch: more has changed than is kept for watchers that are slow (or this server took over a new state); resume from the last revision, or start again")
	case errors.Is(err, fsm.ErrFailed):
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INTERNAL, "watch: %v; watch another server", err)
	}
	return err
}

// begin sends what there is and leaves the subscriptions behind it.
func (w *watch) begin() error {
	after := w.req.GetAfterRevision()
	if w.req.GetIncarnation() != w.header(0).GetIncarnation() {
		after = 0
	}
	if after > 0 {
		switch {
		case planted.On(planted.LostChange):
			after++
		case planted.On(planted.RepeatedChange):
			after--
		}
		subscription, err := w.State.Subscribe(after)
		if err == nil {
			w.desired, w.revision = subscription, after
			return w.resume()
		}
	}
	// A state that was just put in the place of another may not be committed, and what
	// was shown of it could not be taken back.
	if err := w.Reads.Await(w.stream.Context()); err != nil {
		return err
	}
	// The feed does not reach back so far: a snapshot, but not an older one.
	if err := w.State.WaitApplied(w.stream.Context(), after); err != nil {
		return err
	}
	return w.snapshot()
}

// resume sends the observed state to a watch that has the desired one.
func (w *watch) resume() error {
	if w.req.GetOmitObserved() {
		return nil
	}
	snapshot, subscription := w.Observed.Subscribe()
	w.seen = subscription
	out := w.chunks()
	if err := w.observed(out, snapshot, w.State.View()); err != nil {
		return err
	}
	return w.stream.Send(out.current)
}

// snapshot sends everything at one revision.
func (w *watch) snapshot() error {
	// Observed state first: what agents report of a workload after this is a
	// change, whether the view below has the workload or not.
	var seen *observed.Snapshot
	if !w.req.GetOmitObserved() {
		seen, w.seen = w.Observed.Subscribe()
	}
	view := w.State.View()
	subscription, err := w.State.Subscribe(view.Revision())
	if err != nil {
		return err
	}
	w.desired, w.revision = subscription, view.Revision()
	out := w.chunks()
	out.current.SnapshotBegin = true
	for _, rows := range []iter.Seq[*fsm.Row]{view.Workloads(), view.Configs(), view.Agents()} {
		for row := range rows {
			if err := w.put(out, row); err != nil {
				return err
			}
		}
	}
	if seen != nil {
		if err := w.observed(out, seen, view); err != nil {
			return err
		}
	}
	out.current.SnapshotEnd = true
	return w.stream.Send(out.current)
}

// chunks begins a message, and further ones as it becomes too large, that tell
// what is known at this moment.
func (w *watch) chunks() *chunks[*argosyv1.WatchResponse] {
	now := time.Now().UnixNano()
	fresh := func() *argosyv1.WatchResponse {
		return &argosyv1.WatchResponse{Header: w.header(w.revision), ObservedUnixNanos: now}
	}
	return &chunks[*argosyv1.WatchResponse]{current: fresh(), fresh: fresh, send: w.stream.Send}
}

func (w *watch) wanted(name string) bool {
	if w.names == nil {
		return true
	}
	_, ok := w.names[name]
	return ok
}

// follow sends changes until the watch ends.
func (w *watch) follow() error {
	group, ctx := errgroup.WithContext(w.stream.Context())
	changes := make(chan []fsm.Batch)
	reports := make(chan []observed.Batch)
	group.Go(func() error { return pump(ctx, w.desired.Next, changes) })
	if w.seen != nil {
		group.Go(func() error { return pump(ctx, w.seen.Next, reports) })
	}
	group.Go(func() error {
		for {
			var err error
			select {
			case <-ctx.Done():
				return ctx.Err()
			case batches := <-changes:
				err = w.sendChanges(batches)
			case batches := <-reports:
				// What they are about first: an agent speaks of what it was told to run.
				if err = w.catchUp(ctx, changes); err == nil {
					err = w.sendReports(batches)
				}
			}
			if err != nil {
				return err
			}
		}
	})
	return group.Wait()
}

// catchUp sends all that has changed in the state of this server.
func (w *watch) catchUp(ctx context.Context, changes <-chan []fsm.Batch) error {
	for now := w.State.Applied(); w.revision < now; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case batches := <-changes:
			if err := w.sendChanges(batches); err != nil {
				return err
			}
		}
	}
	return nil
}

// pump hands over what comes, and holds nothing back beyond that: the feeds are
// the only buffer.
func pump[B any](ctx context.Context, next func(context.Context) ([]B, error), to chan<- []B) error {
	for {
		batches, err := next(ctx)
		if err != nil {
			return err
		}
		select {
		case to <- batches:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
