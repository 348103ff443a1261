package libpod

import (
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
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
func (x *Index) subscribe(w *watcher) (unsubscribe func()) {
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
func (x *Index) tell(key string) {
	if h := x.held[key]; h != nil {
		h.pending = true
		return
	}
	for w := range x.watchers {
		w.add(key)
	}
}

// Hold keeps changes of an instance back until release.
func (x *Index) Hold(key string) (release func()) {
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

// state returns what an instance is now, as an event, and after what time to ask
// again, if above zero. ok is false when the name cannot be told.
func (x *Index) state(key string) (event runtime.Event, again time.Duration, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if found := x.findLocked(key); len(found) > 0 {
		event.Instance, again = x.verdict(found)
		return event, again, true
	}
	name, err := argosyv1.ParseInstanceName(key)
	return runtime.Event{Instance: runtime.Instance{Name: name}, Gone: true}, 0, err == nil
}

// join says that a stream of events is up; the returned function that it is not
// any more.
func (x *Index) join() (leave func()) {
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
