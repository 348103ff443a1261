package traffic

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// watcher is a session that watches.
type watcher struct {
	session
	// free is set for one that leaves it to the client library to go on
	// elsewhere; others watch one server at a time and go on by themselves.
	free bool
	// observed is set for one that is shown observed state, too.
	observed bool

	// seen is the revision up to which everything was shown, 0 before the first
	// snapshot is complete.
	seen atomic.Uint64

	// Of the goroutine that watches.
	sights      int64
	resumed     uint64
	incarnation string
	inSnapshot  bool
}

// watchAlong watches, for a while at each server.
func (w *watcher) watchAlong(ctx context.Context) {
	at := w.rand.IntN(len(w.pinned))
	for ctx.Err() == nil {
		by := w.own
		if !w.free {
			by = w.pinned[at%len(w.pinned)]
			at++
		}
		w.watch(ctx, by)
		if !w.pause(ctx, failurePause) {
			return
		}
	}
}

// watch watches until the stream breaks, falls silent, or has lasted for long.
func (w *watcher) watch(ctx context.Context, by way) {
	request := &argosyv1.WatchRequest{AfterRevision: w.seen.Load(), Incarnation: w.incarnation, OmitObserved: !w.observed}
	if w.inSnapshot {
		// Half a snapshot is worth nothing.
		request.AfterRevision = 0
	}
	w.resumed = request.AfterRevision
	w.inSnapshot = false
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !w.free {
		// It is resumed at another server also when there is no need to.
		life := time.AfterFunc(time.Duration(w.rand.Int64N(int64(w.config.Patience))), cancel)
		defer life.Stop()
	}
	silence := time.AfterFunc(w.config.Patience, cancel)
	defer silence.Stop()
	// How it ended is of no interest: it is begun again.
	_ = by.client.Watch(ctx, request, func(message *argosyv1.WatchResponse) error {
		silence.Reset(w.config.Patience)
		w.take(by, message)
		return nil
	})
}

// take records a message.
func (w *watcher) take(by way, message *argosyv1.WatchResponse) {
	w.sights++
	header := message.GetHeader()
	sight := history.Sight{
		Watcher: w.name, N: w.sights, At: w.config.Clock(), Server: by.server, AnsweredBy: header.GetServerId(),
		Resumed: w.resumed, SnapshotBegin: message.GetSnapshotBegin(), SnapshotEnd: message.GetSnapshotEnd(),
		Revision: header.GetRevision(), Incarnation: header.GetIncarnation(),
	}
	w.resumed = 0
	sight.Put = w.found(message.GetWorkloads(), message.GetConfigs())
	for _, name := range slices.Concat(message.GetDeletedWorkloads(), message.GetDeletedConfigs()) {
		if _, mine := w.mine[name]; mine {
			sight.Deleted = append(sight.Deleted, name)
		}
	}
	for _, state := range message.GetStates() {
		if _, runs := w.running[state.GetInstance().GetWorkload()]; runs {
			sight.States = append(sight.States, stateOf(state))
		}
	}
	w.config.Recorder.Sight(sight)
	w.counts.sights.Add(1)
	w.inSnapshot = (w.inSnapshot || sight.SnapshotBegin) && !sight.SnapshotEnd
	if !w.inSnapshot {
		w.incarnation = sight.Incarnation
		w.seen.Store(sight.Revision)
	}
}

func stateOf(state *argosyv1.WorkloadState) history.State {
	return history.State{
		Workload: state.GetInstance().GetWorkload(), Instance: state.GetInstance().GetId(), Agent: state.GetInstance().GetAgent(),
		Text: state.GetExecution().Text(), RuntimeID: state.GetExecution().GetRuntimeId(),
	}
}
