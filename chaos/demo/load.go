package demo

import (
	"context"
	"fmt"
	"sync"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// load is a stream of writes to the cluster and of requests to a workload.
type load struct {
	stage  *stage
	cancel context.CancelFunc
	group  sync.WaitGroup

	requests, requestsFailed counter

	mu    sync.Mutex
	acks  []ack
	fatal error
}

// ack is one acknowledged write.
type ack struct {
	name string
	at   time.Time
}

func startLoad(ctx context.Context, s *stage) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{stage: s, cancel: cancel}
	l.group.Go(func() { l.write(ctx) })
	l.group.Go(func() { l.ask(ctx) })
	return l
}

// write applies one small workload after another that no agent runs.
func (l *load) write(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("note-%06d", n)
		_, err := l.stage.client.Apply(ctx, &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{
			{Name: name, Runtime: "process", RuntimeConfig: "command: /bin/true"},
		}})
		l.mu.Lock()
		switch {
		case err == nil:
			l.acks = append(l.acks, ack{name, time.Now()})
		case ctx.Err() == nil && l.fatal == nil:
			l.fatal = err
		}
		l.mu.Unlock()
	}
}

// ask requests the service every few milliseconds.
func (l *load) ask(ctx context.Context) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		err := ask(ctx, l.stage.serviceAddress())
		if ctx.Err() != nil {
			return
		}
		l.requests.Add(1)
		if err != nil {
			l.requestsFailed.Add(1)
		}
	}
}

func (l *load) stop() error {
	l.cancel()
	l.group.Wait()
	return l.fatal
}

// outage returns the number of writes acknowledged before and after a moment,
// and the longest time without one from then on. The first one after the moment
// says nothing by itself: it may have been on its way already.
func (l *load) outage(at time.Time) (before, after int, outage time.Duration) {
	last := at
	for _, a := range l.acks {
		if !a.at.After(at) {
			before++
			continue
		}
		outage = max(outage, a.at.Sub(last))
		last = a.at
		after++
	}
	return before, after, outage
}

// lost counts acknowledged writes that are not there, and removes what the load
// has written.
func (l *load) lost(ctx context.Context) (int, error) {
	state, err := l.stage.client.GetState(ctx, &argosyv1.GetStateRequest{OmitStates: true, OmitAgents: true})
	if err != nil {
		return 0, err
	}
	there := map[string]bool{}
	for _, w := range state.GetWorkloads() {
		there[w.GetName()] = true
	}
	lost := 0
	var names []string
	for _, a := range l.acks {
		if !there[a.name] {
			lost++
		}
		names = append(names, a.name)
	}
	_, err = l.stage.client.Delete(ctx, &argosyv1.DeleteRequest{Names: names, IgnoreMissing: true})
	return lost, err
}
