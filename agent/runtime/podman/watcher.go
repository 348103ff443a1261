package podman

import (
	"sync"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

// watcher is one caller of Watch. Changes reach it as names of instances whose
// state it then reads: a slow one misses steps, never the last state.
type watcher struct {
	wake chan struct{} // capacity 1

	mu     sync.Mutex
	resync bool
	keys   []string
	queued map[string]struct{}
}

func newWatcher() *watcher {
	return &watcher{wake: make(chan struct{}, 1), queued: make(map[string]struct{})}
}

func (w *watcher) add(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.queued[key]; !ok {
		w.queued[key] = struct{}{}
		w.keys = append(w.keys, key)
	}
	w.signal()
}

func (w *watcher) askResync() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resync = true
	w.signal()
}

func (w *watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns what has changed since the last call.
func (w *watcher) take() (resync bool, keys []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	resync, keys = w.resync, w.keys
	w.resync, w.keys = false, nil
	clear(w.queued)
	return resync, keys
}

// subscribe adds a watcher.
func (x *index) subscribe(w *watcher) (unsubscribe func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.watchers[w] = struct{}{}
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.watchers, w)
	}
}

// tell tells the watchers that an instance has changed. The caller has the lock.
func (x *index) tell(key string) {
	if h := x.held[key]; h != nil {
		h.pending = true
		return
	}
	for w := range x.watchers {
		w.add(key)
	}
}

// hold keeps changes of an instance back until release.
func (x *index) hold(key string) (release func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.held[key]
	if h == nil {
		h = &hold{}
		x.held[key] = h
	}
	h.count++
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if h.count--; h.count > 0 {
			return
		}
		delete(x.held, key)
		if h.pending {
			x.tell(key)
		}
	}
}

// state returns what an instance is now, as an event. ok is false when the name
// cannot be told.
func (x *index) state(key string) (event runtime.Event, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if found := x.findLocked(key); len(found) > 0 {
		return runtime.Event{Instance: found[0]}, true
	}
	return goneEvent(key)
}
