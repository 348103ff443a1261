package neighbours

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// saveDelay is how long changes are collected before the file is written. What a
// crash within it forgets is told again by the leader.
const saveDelay = 2 * time.Second

// saveAgain is how long to wait after a write that failed.
const saveAgain = 10 * time.Second

// Book is what is known of neighbours. It is safe for concurrent use.
type Book struct {
	path   string
	logger *slog.Logger
	dirty  chan struct{}

	mu         sync.Mutex
	workloads  map[string]*argosyv1.Neighbour
	dependents map[string][]string
	// staged is a full account of which not everything has come yet.
	staged *account
}

// account is what a full account says.
type account struct {
	workloads  map[string]*argosyv1.Neighbour
	dependents map[string][]string
}

func newAccount() *account {
	return &account{workloads: map[string]*argosyv1.Neighbour{}, dependents: map[string][]string{}}
}

// Open reads what an earlier life of the agent left in the file at path. A file
// that is not there or damaged is the same as none. An empty path remembers
// nothing.
func Open(path string, logger *slog.Logger) *Book {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	known := newAccount()
	if m, err := readFile(path); err != nil {
		logger.Warn("could not read what was known of other workloads; going on without it", "path", path, "error", err)
	} else {
		known.take(m)
	}
	return &Book{path: path, logger: logger, dirty: make(chan struct{}, 1), workloads: known.workloads, dependents: known.dependents}
}

// take adds what a message says.
func (a *account) take(m *argosyv1.Neighbours) {
	for _, w := range m.GetWorkloads() {
		a.workloads[w.GetName()] = w
	}
	for _, d := range m.GetDependents() {
		if len(d.GetDependents()) == 0 {
			delete(a.dependents, d.GetName())
		} else {
			a.dependents[d.GetName()] = d.GetDependents()
		}
	}
}

// Begin says that a session begins: what was left unfinished in the one before
// will not be finished.
func (b *Book) Begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.staged = nil
}

// Learn takes what the leader tells. It returns the names of the workloads of
// which something else is known now, and whether that ends a full account.
func (b *Book) Learn(m *argosyv1.Neighbours) (changed []string, whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.GetFull() {
		if b.staged == nil {
			b.staged = newAccount()
		}
		b.staged.take(m)
		if m.GetPartial() {
			return nil, false
		}
		changed = b.replace(b.staged)
		b.staged = nil
		b.touch()
		return changed, true
	}
	next := account{workloads: b.workloads, dependents: b.dependents}
	next.take(m)
	for _, name := range m.GetForgotten() {
		delete(b.workloads, name)
	}
	for _, w := range m.GetWorkloads() {
		changed = append(changed, w.GetName())
	}
	changed = append(changed, m.GetForgotten()...)
	b.touch()
	return changed, false
}

func (b *Book) replace(a *account) []string {
	names := maps.Clone(a.workloads)
	maps.Copy(names, b.workloads)
	b.workloads, b.dependents = a.workloads, a.dependents
	return slices.Sorted(maps.Keys(names))
}

// Forget drops who depends on a workload that this agent is not to run any more.
func (b *Book) Forget(workload string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.dependents[workload]; known {
		delete(b.dependents, workload)
		b.touch()
	}
}

// States returns the states of the instances of a workload on other agents. They
// must not be changed.
func (b *Book) States(workload string) []*argosyv1.WorkloadState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.workloads[workload].GetStates()
}

// Wanted returns the key of the instance of a workload that desired state asks
// for, as far as was told; empty for none.
func (b *Book) Wanted(workload string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.workloads[workload].GetWanted()
}

// Dependents returns the names of those that are to stop before a workload is
// stopped. They must not be changed.
func (b *Book) Dependents(workload string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dependents[workload]
}

func (b *Book) touch() {
	select {
	case b.dirty <- struct{}{}:
	default:
	}
}

// Run writes changes to the file until the context ends, and once more then.
func (b *Book) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for {
		select {
		case <-ctx.Done():
			select {
			case <-b.dirty:
				b.save()
			default:
			}
			return nil
		case <-b.dirty:
		}
		timer.Reset(saveDelay)
		select {
		case <-ctx.Done():
			b.save()
			return nil
		case <-timer.C:
		}
		if b.save() {
			continue
		}
		b.touch()
		timer.Reset(saveAgain)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
}

func (b *Book) save() bool {
	if err := writeFile(b.path, b.message()); err != nil {
		b.logger.Error("could not remember what is known of other workloads; a restart of the agent without a leader will go by older states", "path", b.path, "error", err)
		return false
	}
	return true
}

func (b *Book) message() *argosyv1.Neighbours {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := &argosyv1.Neighbours{Full: true}
	for _, name := range slices.Sorted(maps.Keys(b.workloads)) {
		m.Workloads = append(m.Workloads, b.workloads[name])
	}
	for _, name := range slices.Sorted(maps.Keys(b.dependents)) {
		m.Dependents = append(m.Dependents, &argosyv1.Dependents{Name: name, Dependents: b.dependents[name]})
	}
	return m
}
