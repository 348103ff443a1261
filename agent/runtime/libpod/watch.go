package libpod

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
)

var (
	errStreamEnded = errors.New("the stream of events ended")
	// errSetBack ends a stream in which podman tells nothing any more: it leaves out
	// what happens before the time from which on events were asked for.
	errSetBack = errors.New("the clock was set back since events were asked for")
)

const (
	// A stream that lasted this long was a good one: the next attempt is made at
	// once.
	goodStream = 10 * time.Second
	// Between attempts that fail the time grows up to this.
	maxBackoff = 5 * time.Second
)

// Source is where an index learns what happens.
type Source struct {
	// Client of the service.
	Client *Client
	// Index that is fed.
	Index *Index
	// Label that the containers of this agent have, key=value.
	Label string
	// Instance is the attribute of an event that may hold the name of the
	// instance: of an unknown container of an instance that is held, events are
	// passed over. "name" is the container's name, others are labels.
	Instance string
	// List brings the index up to date with all containers of this agent.
	List func(context.Context) error
	// day is what the clock of the machine says; nil means time.Now.
	day func() time.Time
}

func (s *Source) now() time.Time {
	if s.day != nil {
		return s.day()
	}
	return time.Now()
}

// Watch calls emit for every change until the context ends, as
// runtime.Observer demands. Events come from podman's stream and from our own
// calls; a list now and then finds what neither told.
func (s *Source) Watch(ctx context.Context, emit func(runtime.Event)) error {
	w := newWatcher()
	defer s.Index.subscribe(w)()
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.keepFollowing(ctx, w)
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
			event, again, ok := s.Index.state(key)
			if ok {
				emit(event)
			}
			if again > 0 {
				// Nobody is told any more when this has ended meanwhile.
				time.AfterFunc(again, func() { w.add(key) })
			}
		}
	}
}

// keepFollowing follows the stream of events, again and again, until the context
// ends.
func (s *Source) keepFollowing(ctx context.Context, w *watcher) {
	backoff := time.Duration(0)
	for first := true; ; first = false {
		began := time.Now()
		synced, err := s.follow(ctx, w)
		if ctx.Err() != nil {
			return
		}
		// That the service is away is told once, elsewhere.
		level := slog.LevelWarn
		if errors.Is(err, runtime.ErrUnavailable) {
			level = slog.LevelDebug
		}
		s.Client.logger.Log(ctx, level, "stream of podman's events ended", "error", err)
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
func (s *Source) follow(ctx context.Context, w *watcher) (synced bool, err error) {
	err = s.Client.Stream(ctx, "follow events", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		stream := make(chan types.Event, 16)
		began, day := time.Now(), s.now()
		if err := system.Events(ctx, stream, nil, s.eventsOptions()); err != nil {
			cancel()
			return err
		}
		// The bindings write into the channel without looking at the context.
		defer func() {
			cancel()
			for range stream { //nolint:revive // to its end
			}
		}()
		s.Client.healthy()
		if err := s.List(ctx); err != nil {
			return err
		}
		defer s.Index.join()()
		synced = true
		w.askResync()
		return s.take(ctx, stream, func() bool { return s.now().Round(0).Sub(day.Round(0)) < time.Since(began)-lead })
	})
	return synced, err
}

// eventsOptions ask for events from a moment ago on: what was told then may not
// be written down yet when the list that follows is made. Without a beginning
// podman would also answer before it has found the end of what it has, and skip
// what comes in between.
func (s *Source) eventsOptions() *system.EventsOptions {
	filters := map[string][]string{
		"type":  {events.Container.String()},
		"label": {s.Label},
		"event": {
			events.Create.String(), events.Start.String(), events.Exited.String(),
			events.Pause.String(), events.Unpause.String(), events.Remove.String(),
		},
	}
	return new(system.EventsOptions).WithFilters(filters).WithStream(true).
		WithSince(s.now().Add(-lead).UTC().Format(time.RFC3339Nano))
}

// take takes in events, and a list now and then, until the clock is set back.
func (s *Source) take(ctx context.Context, stream <-chan types.Event, setBack func() bool) error {
	resync := time.NewTimer(s.resyncDelay())
	defer resync.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case event, ok := <-stream:
			if !ok {
				return errStreamEnded
			}
			if err := s.takeEvent(ctx, &event); err != nil {
				return err
			}
		case <-resync.C:
			if setBack() {
				return errSetBack
			}
			if err := s.List(ctx); err != nil {
				return err
			}
			resync.Reset(s.resyncDelay())
		}
	}
}

// resyncDelay spreads lists over time: many agents may share a machine.
func (s *Source) resyncDelay() time.Duration {
	return s.Client.cfg.ResyncInterval*9/10 + rand.N(s.Client.cfg.ResyncInterval/5+1)
}

func (s *Source) takeEvent(ctx context.Context, event *types.Event) error {
	what, ok := changeOf(event, s.Instance)
	if !ok || s.Index.apply(what, localTime(event.TimeNano)) {
		return nil
	}
	return s.List(ctx) // another client made it
}

// changeOf reads an event. ok is false when it changes nothing.
func changeOf(event *types.Event, instance string) (c change, ok bool) {
	attributes := event.Actor.Attributes
	c = change{id: event.Actor.ID, key: attributes[instance]}
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
