// Package fake is a runtime in memory, for tests of whatever uses a runtime.
// Like a real one it knows instances by name alone, starts and removes them
// idempotently, and tells of every change by events; beside that it does what
// a test wants: instances end, vanish, fail to start, and the runtime itself
// stops answering.
package fake

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

var (
	_ runtime.Runtime = (*Runtime)(nil)
	_ runtime.Creator = (*Runtime)(nil)
)

// Calls counts what was asked of a runtime.
type Calls struct{ Creates, Starts, Removes, Lists int }

// Runtime is a runtime in memory. It is safe for concurrent use.
type Runtime struct {
	name string

	mu        sync.Mutex
	instances map[string]*instance
	watchers  map[*watcher]struct{}
	down      bool
	muted     bool
	nextID    int
	calls     Calls
	onCreate  func(context.Context, *argosyv1.Workload) error
	onStart   func(context.Context, *argosyv1.Workload) error
	onRemove  func(context.Context, *argosyv1.InstanceName) error
	started   []string
}

type instance struct {
	runtime.Instance
	mounts  []runtime.Mount
	lines   []runtime.LogLine
	printed chan struct{}
}

type watcher struct {
	queue []runtime.Event
	wake  chan struct{}
}

// New makes a runtime of the name.
func New(name string) *Runtime {
	return &Runtime{name: name, instances: make(map[string]*instance), watchers: make(map[*watcher]struct{})}
}

// Calls tells what was asked so far.
func (r *Runtime) Calls() Calls {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

// Started returns the names of the workloads that were started, in order.
func (r *Runtime) Started() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.started)
}

// OnCreate has f called at the beginning of each Create; its error fails it.
func (r *Runtime) OnCreate(f func(context.Context, *argosyv1.Workload) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onCreate = f
}

// OnStart has f called at the beginning of each Start; its error fails it.
func (r *Runtime) OnStart(f func(context.Context, *argosyv1.Workload) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onStart = f
}

// OnRemove has f called at the beginning of each Remove; its error fails it.
func (r *Runtime) OnRemove(f func(context.Context, *argosyv1.InstanceName) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onRemove = f
}

// SetDown makes the runtime stop answering, or answer again.
func (r *Runtime) SetDown(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
	if !down {
		r.emit(runtime.Event{Resync: true})
	}
}

// SetMuted keeps events back, as when a stream of them broke unnoticed.
func (r *Runtime) SetMuted(muted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.muted = muted
}

// Resync asks the watchers to list again.
func (r *Runtime) Resync() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.emit(runtime.Event{Resync: true})
}

// Put leaves an instance at the runtime, as an earlier life of the agent would.
func (r *Runtime) Put(i runtime.Instance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i.RuntimeID == "" {
		i.RuntimeID = r.id()
	}
	r.instances[i.Name.Key()] = &instance{Instance: i, printed: make(chan struct{})}
	r.emit(runtime.Event{Instance: i})
}

// Get returns an instance.
func (r *Runtime) Get(name *argosyv1.InstanceName) (runtime.Instance, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.instances[name.Key()]; i != nil {
		return i.Instance, true
	}
	return runtime.Instance{}, false
}

// Mounts returns what an instance was made with.
func (r *Runtime) Mounts(name *argosyv1.InstanceName) []runtime.Mount {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.instances[name.Key()]; i != nil {
		return slices.Clone(i.mounts)
	}
	return nil
}

// Count tells how many instances there are.
func (r *Runtime) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.instances)
}

// Exit ends an instance with an exit code.
func (r *Runtime) Exit(name *argosyv1.InstanceName, code int32) {
	r.Set(name, runtime.StatusExited, code)
}

// Set changes the status of an instance by itself.
func (r *Runtime) Set(name *argosyv1.InstanceName, status runtime.Status, code int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.instances[name.Key()]; i != nil {
		i.Status, i.ExitCode = status, code
		i.flush()
		r.emit(runtime.Event{Instance: i.Instance})
	}
}

// Vanish removes an instance behind the agent's back.
func (r *Runtime) Vanish(name *argosyv1.InstanceName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(name)
}

// Print has an instance print a line.
func (r *Runtime) Print(name *argosyv1.InstanceName, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.instances[name.Key()]; i != nil {
		i.lines = append(i.lines, runtime.LogLine{Line: []byte(line), Time: time.Now()})
		i.flush()
	}
}

// Info implements runtime.Starter.
func (r *Runtime) Info(context.Context) *argosyv1.RuntimeInfo {
	return &argosyv1.RuntimeInfo{Name: r.name, Version: "fake"}
}

// Create implements runtime.Creator.
func (r *Runtime) Create(ctx context.Context, w *argosyv1.Workload, options runtime.StartOptions) (runtime.Instance, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls.Creates++
	if err := r.hooked(ctx, r.onCreate, w); err != nil {
		return runtime.Instance{}, err
	}
	if r.down {
		return runtime.Instance{}, fmt.Errorf("create %s: %w", w.GetName(), runtime.ErrUnavailable)
	}
	name := argosyv1.InstanceOf(w)
	i := r.instances[name.Key()]
	if i == nil {
		i = r.make(name, options)
		i.Status = runtime.StatusStarting
		r.emit(runtime.Event{Instance: i.Instance})
	}
	return i.Instance, nil
}

// hooked calls a hook at the beginning of a call, without the lock, which is held
// before and after.
func (r *Runtime) hooked(ctx context.Context, hook func(context.Context, *argosyv1.Workload) error, w *argosyv1.Workload) error {
	if hook == nil {
		return ctx.Err()
	}
	r.mu.Unlock()
	defer r.mu.Lock()
	if err := hook(ctx, w); err != nil {
		return err
	}
	return ctx.Err()
}

// make makes an instance. The lock is held.
func (r *Runtime) make(name *argosyv1.InstanceName, options runtime.StartOptions) *instance {
	i := &instance{Instance: runtime.Instance{Name: name, RuntimeID: r.id()}, mounts: options.Mounts, printed: make(chan struct{})}
	r.instances[name.Key()] = i
	return i
}

// Start implements runtime.Starter.
func (r *Runtime) Start(ctx context.Context, w *argosyv1.Workload, options runtime.StartOptions) (runtime.Instance, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls.Starts++
	r.started = append(r.started, w.GetName())
	if err := r.hooked(ctx, r.onStart, w); err != nil {
		return runtime.Instance{}, err
	}
	if r.down {
		return runtime.Instance{}, fmt.Errorf("start %s: %w", w.GetName(), runtime.ErrUnavailable)
	}
	name := argosyv1.InstanceOf(w)
	i := r.instances[name.Key()]
	switch {
	case i != nil && i.Status == runtime.StatusRunning:
		return i.Instance, nil
	case i != nil && (options.Reuse || i.Status == runtime.StatusStarting && slices.Equal(i.mounts, options.Mounts)):
	default:
		if i != nil {
			r.drop(name)
		}
		i = r.make(name, options)
	}
	i.Status, i.ExitCode, i.StartedAt = runtime.StatusRunning, 0, time.Now()
	r.emit(runtime.Event{Instance: i.Instance})
	return i.Instance, nil
}

// Remove implements runtime.Starter.
func (r *Runtime) Remove(ctx context.Context, name *argosyv1.InstanceName) error {
	r.mu.Lock()
	r.calls.Removes++
	hook := r.onRemove
	r.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, name); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return fmt.Errorf("remove %s: %w", name.GetWorkload(), runtime.ErrUnavailable)
	}
	if i := r.instances[name.Key()]; i != nil {
		i.Status, i.ExitCode = runtime.StatusExited, 143
		r.emit(runtime.Event{Instance: i.Instance})
		r.drop(name)
	}
	return nil
}

// List implements runtime.Observer.
func (r *Runtime) List(context.Context) ([]runtime.Instance, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls.Lists++
	if r.down {
		return nil, fmt.Errorf("list: %w", runtime.ErrUnavailable)
	}
	list := make([]runtime.Instance, 0, len(r.instances))
	for _, key := range slices.Sorted(maps.Keys(r.instances)) {
		list = append(list, r.instances[key].Instance)
	}
	return list, nil
}

// Watch implements runtime.Observer.
func (r *Runtime) Watch(ctx context.Context, emit func(runtime.Event)) error {
	w := &watcher{queue: []runtime.Event{{Resync: true}}, wake: make(chan struct{}, 1)}
	w.wake <- struct{}{}
	r.mu.Lock()
	r.watchers[w] = struct{}{}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, w)
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.wake:
		}
		r.mu.Lock()
		events := w.queue
		w.queue = nil
		r.mu.Unlock()
		for _, e := range events {
			emit(e)
		}
	}
}

// Logs implements runtime.LogReader.
func (r *Runtime) Logs(ctx context.Context, name *argosyv1.InstanceName, options runtime.LogOptions, emit func(runtime.LogLine) error) error {
	next := -1
	for {
		r.mu.Lock()
		i := r.instances[name.Key()]
		if i == nil {
			r.mu.Unlock()
			if next < 0 {
				return fmt.Errorf("logs of %s: %w", name.Key(), runtime.ErrNotFound)
			}
			return nil
		}
		if next < 0 {
			next = 0
			if options.Tail >= 0 {
				next = max(0, len(i.lines)-options.Tail)
			}
		}
		lines := slices.Clone(i.lines[next:])
		next = len(i.lines)
		more, running := i.printed, i.Status == runtime.StatusRunning
		r.mu.Unlock()
		for _, line := range lines {
			if err := emit(line); err != nil {
				return err
			}
		}
		if !options.Follow || !running {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-more:
		}
	}
}

func (r *Runtime) id() string {
	r.nextID++
	return fmt.Sprintf("%s-%d", r.name, r.nextID)
}

func (r *Runtime) drop(name *argosyv1.InstanceName) {
	if i := r.instances[name.Key()]; i != nil {
		delete(r.instances, name.Key())
		i.flush()
		r.emit(runtime.Event{Instance: i.Instance, Gone: true})
	}
}

func (r *Runtime) emit(e runtime.Event) {
	if r.muted {
		return
	}
	for w := range r.watchers {
		w.queue = append(w.queue, e)
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// flush wakes those who follow the log.
func (i *instance) flush() {
	close(i.printed)
	i.printed = make(chan struct{})
}
