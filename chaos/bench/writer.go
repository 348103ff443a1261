package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// writer writes one small workload after another and remembers what was
// acknowledged when.
type writer struct {
	client *client.Client
	mu     sync.Mutex
	signal chan struct{}
	number int
	// values holds the last acknowledged text under each name.
	values map[string]string
	acks   []time.Time
	total  int
	failed error
}

// names is how many workloads are written in turn: a small state keeps what is
// measured apart from the size of the state.
const names = 50

func newWriter(c *client.Client) *writer {
	return &writer{client: c, signal: make(chan struct{}), values: map[string]string{}}
}

// start begins a stream of writes; the function returned ends it.
func (w *writer) start(ctx context.Context) func() {
	ctx, cancel := context.WithCancel(ctx)
	w.mu.Lock()
	w.acks = w.acks[:0]
	w.mu.Unlock()
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			w.write(ctx)
		}
	})
	return func() { cancel(); group.Wait() }
}

func (w *writer) write(ctx context.Context) {
	w.number++
	name := fmt.Sprintf("note-%d", w.number%names)
	text := fmt.Sprintf("command: 'number %d'", w.number)
	_, err := w.client.Apply(ctx, &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{{Name: name, Runtime: "process", RuntimeConfig: text}}})
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		// The write that the end of the stream cut off may be there or not.
		delete(w.values, name)
		if ctx.Err() == nil {
			w.failed = err
		}
		return
	}
	w.values[name] = text
	w.acks = append(w.acks, time.Now())
	w.total++
	close(w.signal)
	w.signal = make(chan struct{})
}

// next waits for the first write acknowledged after a moment.
func (w *writer) next(ctx context.Context, at time.Time) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		w.mu.Lock()
		signal, failed := w.signal, w.failed
		var last time.Time
		if len(w.acks) > 0 {
			last = w.acks[len(w.acks)-1]
		}
		first := time.Time{}
		if last.After(at) {
			for _, ack := range w.acks {
				if ack.After(at) {
					first = ack
					break
				}
			}
		}
		w.mu.Unlock()
		if failed != nil {
			return 0, fmt.Errorf("a write failed: %w", failed)
		}
		if !first.IsZero() {
			return first.Sub(at), nil
		}
		select {
		case <-signal:
		case <-ctx.Done():
			return 0, fmt.Errorf("no write was acknowledged for %v: %w", time.Since(at), context.Cause(ctx))
		}
	}
}

// outage waits until writes go on after a strike, and returns how long they were
// held up: from the strike, or the last acknowledgement that was still under way
// then, to the next one.
func (w *writer) outage(ctx context.Context, strike time.Time) (time.Duration, error) {
	// What was under way arrives at once, what outlasts this goes on.
	if _, err := w.next(ctx, time.Now().Add(50*time.Millisecond)); err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var longest time.Duration
	last := strike
	for _, ack := range w.acks {
		if ack.After(strike) {
			longest = max(longest, ack.Sub(last))
			last = ack
		}
	}
	return longest, nil
}

// longestGap returns the longest time between two acknowledgements of the last
// stream.
func (w *writer) longestGap() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var longest time.Duration
	for i := 1; i < len(w.acks); i++ {
		longest = max(longest, w.acks[i].Sub(w.acks[i-1]))
	}
	return longest
}

func (w *writer) acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total
}

// lost counts names whose last acknowledged text is not there.
func (w *writer) lost(ctx context.Context, c *client.Client) (int, error) {
	state, err := c.GetState(ctx, &argosyv1.GetStateRequest{OmitStates: true, OmitAgents: true})
	if err != nil {
		return 0, err
	}
	there := map[string]string{}
	for _, workload := range state.GetWorkloads() {
		there[workload.GetName()] = workload.GetRuntimeConfig()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	lost := 0
	for name, text := range w.values {
		if there[name] != text {
			lost++
		}
	}
	return lost, nil
}

// waitRunning waits until so many instances run.
func waitRunning(ctx context.Context, c *client.Client, count int) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	running := map[string]bool{}
	err := c.Watch(ctx, &argosyv1.WatchRequest{OmitDesired: true}, func(message *argosyv1.WatchResponse) error {
		if message.GetSnapshotBegin() {
			clear(running)
		}
		for _, state := range message.GetStates() {
			key := state.GetInstance().Key()
			if state.GetExecution().GetState() == argosyv1.State_STATE_RUNNING {
				running[key] = true
			} else {
				delete(running, key)
			}
		}
		if len(running) >= count {
			return client.ErrStop
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait until %d instances run (%d do): %w", count, len(running), err)
	}
	return nil
}
