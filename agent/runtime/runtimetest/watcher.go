package runtimetest

import (
	"context"
	"errors"
	"sync"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

var errStopped = errors.New("stopped by the suite")

// watcher collects the events of a client.
type watcher struct {
	scene  *scene
	client runtime.Runtime
	cancel context.CancelCauseFunc
	ended  chan struct{}
	err    error

	mu     sync.Mutex
	events []runtime.Event
	more   chan struct{}
}

func (s *scene) watch(client runtime.Runtime) *watcher {
	ctx, cancel := context.WithCancelCause(s.ctx)
	w := &watcher{scene: s, client: client, cancel: cancel, ended: make(chan struct{}), more: make(chan struct{})}
	go func() {
		defer close(w.ended)
		w.err = client.Watch(ctx, w.add)
	}()
	return w
}

func (w *watcher) add(event runtime.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, event)
	close(w.more)
	w.more = make(chan struct{})
}

// stop ends the watch and checks that it says why it ended.
func (w *watcher) stop() {
	w.cancel(errStopped)
	<-w.ended
	if !errors.Is(w.err, errStopped) {
		w.scene.Errorf("watch ended with %v, want the cause of its context", w.err)
	}
}

// all returns the events so far and a channel closed by the next.
func (w *watcher) all() ([]runtime.Event, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events[:len(w.events):len(w.events)], w.more
}

// mark returns how many events there are.
func (w *watcher) mark() int {
	events, _ := w.all()
	return len(events)
}

func (w *watcher) awaitResync() {
	w.scene.Helper()
	w.awaitFrom(0, "resync", func(e runtime.Event) bool { return e.Resync })
}

// await waits for an event of the instance that the condition holds for, or,
// after a resync, for a listed instance.
func (w *watcher) await(name *argosyv1.InstanceName, what string, holds func(runtime.Event) bool) {
	w.scene.Helper()
	w.awaitSince(0, name, what, holds)
}

// awaitSince is await for events after a mark.
func (w *watcher) awaitSince(mark int, name *argosyv1.InstanceName, what string, holds func(runtime.Event) bool) {
	w.scene.Helper()
	w.awaitFrom(mark, name.GetWorkload()+": "+what, func(e runtime.Event) bool {
		if !e.Resync {
			return e.Instance.Name.Key() == name.Key() && holds(e)
		}
		all, err := w.client.List(w.scene.ctx)
		if err != nil {
			return false
		}
		for _, instance := range all {
			if instance.Name.Key() == name.Key() {
				return holds(runtime.Event{Instance: instance})
			}
		}
		return holds(runtime.Event{Instance: runtime.Instance{Name: name}, Gone: true})
	})
}

func (w *watcher) awaitFrom(mark int, what string, holds func(runtime.Event) bool) {
	w.scene.Helper()
	for next := mark; ; {
		events, more := w.all()
		for ; next < len(events); next++ {
			if holds(events[next]) {
				return
			}
		}
		select {
		case <-more:
		case <-w.ended:
			w.scene.Fatalf("watch ended with %v while waiting for %s", w.err, what)
		case <-w.scene.ctx.Done():
			w.scene.Fatalf("no event for %s; events: %+v", what, events)
		}
	}
}

// follower collects the log lines of an instance.
type follower struct {
	scene  *scene
	cancel context.CancelCauseFunc
	ended  chan struct{}
	err    error

	mu    sync.Mutex
	lines []runtime.LogLine
	more  chan struct{}
}

func (s *scene) follow(client runtime.Runtime, workload *argosyv1.Workload, options runtime.LogOptions) *follower {
	options.Follow = true
	ctx, cancel := context.WithCancelCause(s.ctx)
	f := &follower{scene: s, cancel: cancel, ended: make(chan struct{}), more: make(chan struct{})}
	go func() {
		defer close(f.ended)
		f.err = client.Logs(ctx, argosyv1.InstanceOf(workload), options, f.add)
	}()
	return f
}

func (f *follower) add(line runtime.LogLine) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	line.Line = append([]byte(nil), line.Line...)
	f.lines = append(f.lines, line)
	close(f.more)
	f.more = make(chan struct{})
	return nil
}

func (f *follower) all() ([]runtime.LogLine, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lines[:len(f.lines):len(f.lines)], f.more
}

// await waits for a line of this text.
func (f *follower) await(text string) {
	f.scene.Helper()
	for {
		lines, more := f.all()
		for _, line := range lines {
			if string(line.Line) == text {
				return
			}
		}
		select {
		case <-more:
			continue
		case <-f.ended:
		case <-f.scene.ctx.Done():
		}
		lines, _ = f.all()
		f.scene.Fatalf("line %q was not printed; lines: %q, end: %v", text, texts(lines), f.err)
	}
}

// stop ends the follower; its error is of no interest, as it may have ended.
func (f *follower) stop() {
	f.cancel(errStopped)
	<-f.ended
}

// awaitEnd waits until the logs have ended by themselves.
func (f *follower) awaitEnd() error {
	f.scene.Helper()
	select {
	case <-f.ended:
		return f.err
	case <-f.scene.ctx.Done():
		f.scene.Fatalf("logs do not end; lines: %q", texts(f.lines))
		return nil
	}
}

func texts(lines []runtime.LogLine) []string {
	out := make([]string, 0, len(lines))
	for _, line := range lines {
		out = append(out, string(line.Line))
	}
	return out
}
