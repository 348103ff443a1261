package podman

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/containers/podman/v5/libpod/events"
	"github.com/containers/podman/v5/pkg/bindings/system"
	"github.com/containers/podman/v5/pkg/domain/entities/types"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

var errStreamEnded = errors.New("the stream of events ended")

const (
	// A stream that lasted this long was a good one: the next attempt is made at
	// once.
	goodStream = 10 * time.Second
	// Between attempts that fail the time grows up to this.
	maxBackoff = 5 * time.Second
)

// Watch implements runtime.Observer. Events come from podman's stream and from
// our own calls; a list now and then finds what neither told.
func (p *Podman) Watch(ctx context.Context, emit func(runtime.Event)) error {
	w := newWatcher()
	defer p.index.subscribe(w)()
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.keepFollowing(ctx, w)
	}()
	defer func() {
		cancel(nil)
		<-ended
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.wake:
		}
		resync, keys := w.take()
		if resync {
			emit(runtime.Event{Resync: true})
		}
		for _, key := range keys {
			if event, ok := p.index.state(key); ok {
				emit(event)
			}
		}
	}
}

// keepFollowing follows the stream of events, again and again, until the context
// ends.
func (p *Podman) keepFollowing(ctx context.Context, w *watcher) {
	backoff := time.Duration(0)
	for first := true; ; first = false {
		began := time.Now()
		synced, err := p.follow(ctx, w)
		if ctx.Err() != nil {
			return
		}
		// That the service is away is told once, elsewhere.
		level := slog.LevelWarn
		if errors.Is(err, runtime.ErrUnavailable) {
			level = slog.LevelDebug
		}
		p.logger.Log(ctx, level, "stream of podman's events ended", "error", err)
		if first && !synced {
			w.askResync() // who waits for the first word need not wait for podman
		}
		if time.Since(began) > goodStream {
			backoff = 0
		}
		timer := time.NewTimer(backoff/2 + rand.N(backoff/2+1))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		backoff = min(max(2*backoff, 50*time.Millisecond), maxBackoff)
	}
}

// follow takes in events until the stream ends. synced says whether it came as
// far as to ask for a resync.
func (p *Podman) follow(ctx context.Context, w *watcher) (synced bool, err error) {
	err = p.client.stream(ctx, "follow events", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		stream := make(chan types.Event, 16)
		if err := system.Events(ctx, stream, nil, p.eventsOptions()); err != nil {
			cancel()
			return err
		}
		// The bindings write into the channel without looking at the context.
		defer func() {
			cancel()
			for range stream { //nolint:revive // to its end
			}
		}()
		p.client.healthy()
		if err := p.sync(ctx); err != nil {
			return err
		}
		defer p.index.join()()
		synced = true
		w.askResync()
		return p.take(ctx, stream)
	})
	return synced, err
}

// eventsOptions ask for events from a moment ago on: what was told then may not
// be written down yet when the list that follows is made. Without a beginning
// podman would also answer before it has found the end of what it has, and skip
// what comes in between.
func (p *Podman) eventsOptions() *system.EventsOptions {
	filters := map[string][]string{
		"type":  {events.Container.String()},
		"label": {labelAgent + "=" + p.cfg.Agent},
		"event": {
			events.Create.String(), events.Start.String(), events.Exited.String(),
			events.Pause.String(), events.Unpause.String(), events.Remove.String(),
		},
	}
	return new(system.EventsOptions).WithFilters(filters).WithStream(true).
		WithSince(time.Now().Add(-lead).UTC().Format(time.RFC3339Nano))
}

// take takes in events, and a list now and then.
func (p *Podman) take(ctx context.Context, stream <-chan types.Event) error {
	resync := time.NewTimer(p.resyncDelay())
	defer resync.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case event, ok := <-stream:
			if !ok {
				return errStreamEnded
			}
			if err := p.takeEvent(ctx, &event); err != nil {
				return err
			}
		case <-resync.C:
			if err := p.sync(ctx); err != nil {
				return err
			}
			resync.Reset(p.resyncDelay())
		}
	}
}

// resyncDelay spreads lists over time: many agents may share a machine.
func (p *Podman) resyncDelay() time.Duration {
	return p.cfg.ResyncInterval*9/10 + rand.N(p.cfg.ResyncInterval/5+1)
}

func (p *Podman) takeEvent(ctx context.Context, event *types.Event) error {
	what, ok := changeOf(event)
	if !ok || p.index.apply(what, localTime(event.TimeNano)) {
		return nil
	}
	return p.sync(ctx) // another client made it
}

// changeOf reads an event. ok is false when it changes nothing. Events have the
// labels too, but podman puts the container's name over the label "name".
func changeOf(event *types.Event) (c change, ok bool) {
	attributes := event.Actor.Attributes
	c = change{id: event.Actor.ID, container: attributes["name"]}
	switch string(event.Action) {
	case events.Create.String():
		c.status = runtime.StatusStarting
	case events.Start.String():
		c.status, c.start = runtime.StatusRunning, true
	case events.Unpause.String():
		c.status = runtime.StatusRunning
	case events.Pause.String():
		c.status, c.detail = runtime.StatusUnknown, "paused"
	case events.Exited.String():
		code, err := strconv.ParseInt(attributes["containerExitCode"], 10, 32)
		if err != nil {
			return c, false // the next list knows
		}
		c.status, c.exitCode = runtime.StatusExited, int32(code)
	case events.Remove.String():
		c.removal = true
	default:
		return c, false
	}
	return c, true
}

// localTime converts podman's wall clock into a time that can be compared with
// those we have taken, also when the clock was set meanwhile.
func localTime(nanoseconds int64) time.Time {
	now := time.Now()
	age := now.Round(0).Sub(time.Unix(0, nanoseconds))
	return now.Add(-max(age, 0))
}

func goneEvent(key string) (runtime.Event, bool) {
	name, err := argosyv1.ParseInstanceName(key)
	if err != nil {
		return runtime.Event{}, false
	}
	return runtime.Event{Instance: runtime.Instance{Name: name}, Gone: true}, true
}

// join says that a stream of events is up; the returned function that it is not
// any more.
func (x *index) join() (leave func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.live++
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.live--
		x.doubts++
	}
}
