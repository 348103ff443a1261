package consensus

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// guard stands between Raft and the store where Raft would panic: when an
// entry that must be applied cannot be read, be it that there is no log any
// more, and when a new term cannot be saved. A node that meets this cannot go
// on, but its process must get to say so and stop in order; so the goroutine of
// Raft that has asked is ended there, with its deferred calls, and the node
// reports that it is broken.
type guard struct {
	*storage.Store
	broken func(error)
	// refused takes the news that entries were not stored: Raft steps down.
	refused func(error)
	// running is set when NewRaft has returned. Before that it is our own
	// goroutine that asks, and its panic is caught there.
	running atomic.Bool
	// leaving is set when the node stops: what a snapshot made superfluous is left
	// to the next one, since removing it is many flushes of a disk that others may
	// share.
	leaving atomic.Bool
	// restored returns index and term of the state that Raft last took over as a
	// whole; 0 when there is none.
	restored func() (index, term uint64)
	// leads reports whether this server leads.
	leads func() bool
	// cut is set from when the end of the log was removed until entries are stored.
	cut atomic.Bool
	// unread is why an entry could not be read before that.
	unread error
}

var (
	_ raft.LogStore          = (*guard)(nil)
	_ raft.MonotonicLogStore = (*guard)(nil)
	_ raft.StableStore       = (*guard)(nil)
)

// standIn is the type of what the guard gives for an entry that there is only a
// state of. It is for comparing index and term: whoever stored it would have
// nothing of what the state holds.
const standIn raft.LogType = math.MaxUint8

// currentTerm is Raft's key for its term.
const currentTerm = "CurrentTerm"

// GetLog reads an entry for Raft.
func (g *guard) GetLog(index uint64, entry *raft.Log) error {
	err := g.Store.GetLog(index, entry)
	if errors.Is(err, storage.ErrCorrupt) || errors.Is(err, storage.ErrUnusable) {
		if g.running.Load() {
			g.broken(err)
			runtime.Goexit()
		}
		g.unread = err
	}
	if errors.Is(err, raft.ErrLogNotFound) && g.running.Load() && index > 0 {
		// A restored state stands in the log's gap like an entry. Raft knows that
		// only as long as nothing comes after it: a server with other entries
		// there than the leader could never again agree with it, and would be
		// sent the state without end. A leader is to send its followers the state.
		if at, term := g.restored(); at == index && !g.leads() {
			*entry = raft.Log{Index: at, Term: term, Type: standIn}
			return nil
		}
	}
	return err
}

// StoreLogs stores entries for Raft.
func (g *guard) StoreLogs(entries []*raft.Log) error {
	err := g.Store.StoreLogs(entries)
	switch {
	case err == nil:
		g.cut.Store(false)
	case !g.running.Load():
	case g.cut.Load():
		// Raft still takes the end that was removed for its own, asks for votes with
		// it, and would store what comes after it behind the gap.
		g.broken(fmt.Errorf("store entries in the place of those that were removed: %w", err))
		runtime.Goexit()
	default:
		g.refused(err)
		g.lost(err)
	}
	return err
}

// SetUint64 saves a number for Raft.
func (g *guard) SetUint64(key []byte, value uint64) error {
	err := g.Store.SetUint64(key, value)
	if err != nil && string(key) == currentTerm && g.running.Load() {
		g.broken(fmt.Errorf("save term: %w", err))
		runtime.Goexit()
	}
	return err
}

// DeleteRange removes entries for Raft: those that a snapshot made superfluous,
// or the end of the log where it differs from the leader's.
func (g *guard) DeleteRange(first, last uint64) error {
	if g.leaving.Load() {
		if end, err := g.LastIndex(); err == nil && last < end {
			return nil
		}
	}
	err := g.Store.DeleteRange(first, last)
	if err != nil {
		g.lost(err)
		return err
	}
	if end, err := g.LastIndex(); err != nil || end < first {
		g.cut.Store(true)
	}
	return nil
}

// lost ends the server when there is no log any more: it could neither be
// changed nor opened again.
func (g *guard) lost(err error) {
	if errors.Is(err, storage.ErrUnusable) && g.running.Load() {
		g.broken(err)
	}
}
