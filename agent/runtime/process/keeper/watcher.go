package keeper

import "github.com/argosy-cluster/argosy/agent/runtime/process/wire"

// watcherMost is how many events wait for a slow watcher before it is told to
// list everything again instead.
const watcherMost = 4096

// watcher is one who is told of changes. The table guards it.
type watcher struct {
	events []wire.Response
	wake   chan struct{}
}

func (t *table) watch() (*watcher, func()) {
	w := &watcher{wake: make(chan struct{}, 1)}
	t.mu.Lock()
	t.watchers[w] = struct{}{}
	t.mu.Unlock()
	return w, func() {
		t.mu.Lock()
		delete(t.watchers, w)
		t.mu.Unlock()
	}
}

// take returns what is to be told.
func (t *table) take(w *watcher) []wire.Response {
	t.mu.Lock()
	defer t.mu.Unlock()
	events := w.events
	w.events = nil
	return events
}

func (t *table) publish(event wire.Response) {
	for w := range t.watchers {
		if len(w.events) >= watcherMost {
			w.events = append(w.events[:0], wire.Response{Resync: true})
		}
		w.events = append(w.events, event)
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}
