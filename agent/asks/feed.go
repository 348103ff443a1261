package asks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/manifest/complete"
	"github.com/argosy-cluster/argosy/manifest/mask"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// feed is one watch that many subscribers share.
type feed struct {
	cfg     Config
	servers *servers
	logger  *slog.Logger
	// joined is signalled when there is somebody to watch for.
	joined chan struct{}

	mu          sync.Mutex
	subscribers map[*subscriber]struct{}
	// snapshots counts those that were asked for. A subscriber is told of states
	// since the one that it has asked for.
	snapshots uint64
	// mirror has the state while it is watched; watching is the snapshot that the
	// watch began with, and whole tells whether the mirror may be looked at.
	mirror   *complete.Mirror
	watching uint64
	whole    bool
	// again ends the watch, so that the next one begins; nil when there is none.
	// renewal does so later.
	again   context.CancelCauseFunc
	renewal *time.Timer
	// began is when the last watch did.
	began   time.Time
	failure error
}

// Limits of what workloads can make an agent and servers do by subscribing.
const (
	// renewEvery is the least time between the beginnings of two watches: nobody
	// has the state sent again and again by subscribing again and again.
	renewEvery = 50 * time.Millisecond
	// maxMasks is how many masks one subscription may have: all of them are looked
	// at when a watch begins.
	maxMasks = 1024
	// maxNames is of how many workloads a watch tells apart; if there are more, it
	// is one of all.
	maxNames = 4096
)

// subscriber is one subscription.
type subscriber struct {
	feed  *feed
	masks *mask.Set
	// since is the snapshot that it has asked for.
	since    uint64
	observer *complete.Observer
	events   []*complete.Event
	// behind is set when the mirror was not looked at, since too many events wait.
	behind bool
	ready  chan struct{}
}

// Times between watches that fail.
const (
	pauseMin = 50 * time.Millisecond
	pauseMax = 2 * time.Second
)

// errAgain ends a watch that has to begin anew.
var errAgain = errors.New("watch begins anew")

func newFeed(cfg Config) *feed {
	return &feed{
		// A watch that finds no server ends soon, so that the next one asks those that
		// are known by then, and those who wait for it learn why they do.
		cfg: cfg, servers: &servers{cfg: cfg, patience: min(cfg.Timeout/2, time.Second)}, logger: cfg.Logger,
		joined: make(chan struct{}, 1), subscribers: map[*subscriber]struct{}{},
	}
}

// join begins a subscription; leave must be called for it.
func (f *feed) join(masks *mask.Set) *subscriber {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshots++
	s := &subscriber{feed: f, masks: masks, since: f.snapshots, observer: complete.NewObserver(masks), ready: make(chan struct{}, 1)}
	f.subscribers[s] = struct{}{}
	if f.whole {
		// A snapshot that is on its way is waited for, or those who come one
		// after the other would keep it from ever coming.
		f.renew()
	}
	signal(f.joined)
	return s
}

// renew has the watch begin anew, when it is time. The feed is locked.
func (f *feed) renew() {
	if f.renewal == nil {
		again := f.again
		f.renewal = time.AfterFunc(renewEvery-time.Since(f.began), func() { again(errAgain) })
	}
}

func (f *feed) leave(s *subscriber) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.subscribers, s)
	if len(f.subscribers) == 0 && f.again != nil {
		f.again(errAgain)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run watches while there are subscribers, until the context ends.
func (f *feed) run(ctx context.Context) {
	pause := pauseMin
	for ctx.Err() == nil {
		sleep(ctx, time.Until(f.began.Add(renewEvery))) // it alone changes it
		heard, err := f.watch(ctx)
		if heard {
			pause = pauseMin
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errAgain):
		case err == nil: // nobody is there to watch for
			select {
			case <-ctx.Done():
			case <-f.joined:
			}
		default:
			if pause == pauseMin { // once, until one is there again
				f.logger.Warn("subscriptions of workloads wait for a server", "error", err)
			}
			sleep(ctx, pause/2+rand.N(pause))
			pause = min(2*pause, pauseMax)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// watch follows the state from a snapshot until that fails, or somebody needs a
// snapshot that is younger. It returns nil when there is nobody to watch for.
func (f *feed) watch(ctx context.Context) (heard bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request := f.begin(cancel)
	if request == nil {
		return false, nil
	}
	defer f.end(&err)
	c, err := f.servers.take()
	if err != nil {
		return false, err
	}
	defer f.servers.giveBack(c)
	var lately atomic.Bool
	var checks sync.WaitGroup
	watched := c.Endpoints()[0]
	checks.Go(func() { f.check(ctx, c, watched, &lately, cancel) })
	err = c.Watch(ctx, request, func(message *argosyv1.WatchResponse) error {
		heard = true
		lately.Store(true)
		return f.take(message)
	})
	cancel(nil)
	checks.Wait()
	if errors.Is(context.Cause(ctx), errAgain) {
		err = errAgain
	}
	return heard, err
}

// check looks, while nothing comes, whether the server that is watched can still
// answer for the cluster: one that is cut off from the others has nothing to say,
// and does not say that. If another one answers than the watch began with, that is
// watched, however many checks have failed before: each of them leaves off somewhere.
func (f *feed) check(ctx context.Context, c *connection, watched string, lately *atomic.Bool, again context.CancelCauseFunc) {
	ticker := time.NewTicker(f.cfg.CheckEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if lately.Swap(false) {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
		_, err := c.GetState(bounded, &argosyv1.GetStateRequest{OmitWorkloads: true, OmitStates: true, OmitAgents: true, OmitConfigs: true})
		cancel()
		if err == nil && c.Endpoints()[0] != watched {
			f.logger.Info("subscriptions of workloads go on at another server", "former", watched)
			again(errAgain)
			return
		}
	}
}

// begin returns what is to be watched, nil for nothing.
func (f *feed) begin(cancel context.CancelCauseFunc) *argosyv1.WatchRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.subscribers) == 0 {
		f.mirror, f.failure = nil, nil
		return nil
	}
	if f.mirror == nil {
		f.mirror = complete.NewMirror()
	}
	var masks []mask.Mask
	for s := range f.subscribers {
		masks = append(masks, s.masks.Masks()...)
	}
	f.again, f.watching, f.began = cancel, f.snapshots, time.Now()
	request := complete.WatchRequest(mask.NewSet(masks...))
	if len(request.GetNames()) > maxNames {
		request.Names = nil
	}
	return request
}

func (f *feed) end(err *error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.renewal != nil {
		f.renewal.Stop()
	}
	f.again, f.renewal, f.whole = nil, nil, false
	if *err != nil && !errors.Is(*err, errAgain) {
		f.failure = *err
	}
}

// take takes in a message of the watch, and lets everybody see what it changes.
func (f *feed) take(message *argosyv1.WatchResponse) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.whole = f.mirror.Take(message); !f.whole {
		return nil
	}
	f.failure = nil
	for s := range f.subscribers {
		if s.since <= f.watching {
			s.look()
		}
	}
	if f.snapshots != f.watching {
		f.renew()
	}
	return nil
}

// look turns what has changed since it was told last into an event, unless too
// many wait: then it looks again once one was taken. The feed is locked.
func (s *subscriber) look() {
	if s.behind = len(s.events) >= s.feed.cfg.MaxEvents; s.behind {
		return
	}
	if event := s.observer.Look(s.feed.mirror); event != nil {
		s.events = append(s.events, event)
		signal(s.ready)
	}
}

// next waits for the next event.
func (s *subscriber) next(ctx context.Context) (*complete.Event, error) {
	for {
		if event := s.pop(); event != nil {
			return event, nil
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (s *subscriber) pop() *complete.Event {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	if len(s.events) == 0 {
		return nil
	}
	event := s.events[0]
	s.events = slices.Delete(s.events, 0, 1)
	if s.behind && s.feed.whole && s.since <= s.feed.watching {
		s.look()
	}
	return event
}

// excuse says why there is no snapshot.
func (f *feed) excuse() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure == nil {
		return fmt.Errorf("%w: no server has sent the state within %v", ErrUnreachable, f.cfg.Timeout)
	}
	return fmt.Errorf("%w: %s", ErrUnreachable, client.Reason(f.failure))
}
