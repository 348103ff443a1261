package consensus

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// tentative is a state that this server has taken over as a whole and that may
// not be committed.
//
// Raft takes back entries of the log that were never committed. A restored state
// is beyond its reach: the leader takes it over before anybody else has it, and
// a follower that it was sent to before a majority has it. When that leader dies
// then, the others go on without the restore; these servers would go on from a
// state that never was, and nobody would know. So it is remembered, on the disk,
// until it is known to be committed. A leader that sends entries from before it
// is one that went on without it.
type tentative struct {
	// index and term are those of the state in the log.
	index, term uint64
	// under is the term of the leader that restored or sent it.
	under uint64
}

const tentativeFile = "tentative"

// tentatives is where the tentative state of a server is written down.
type tentatives struct {
	path string

	mu  sync.Mutex
	now tentative // index 0 when there is none
}

// open reads what there is.
func (t *tentatives) open(path string) error {
	t.path = path
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read tentative state: %w", err)
	}
	if _, err := fmt.Sscanf(string(text), "%d %d %d\n", &t.now.index, &t.now.term, &t.now.under); err != nil {
		return fmt.Errorf("read tentative state %s: %w", path, storage.ErrCorrupt)
	}
	return nil
}

func (t *tentatives) get() (tentative, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now, t.now.index > 0
}

// set writes a state down before it is taken over.
func (t *tentatives) set(state tentative) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if state == t.now {
		return nil
	}
	if state.index == 0 {
		return t.remove()
	}
	text := fmt.Sprintf("%d %d %d\n", state.index, state.term, state.under)
	if err := storage.WriteFile(t.path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write down tentative state: %w", err)
	}
	t.now = state
	return nil
}

// remove is called when there is no such state any more. It need not be durable:
// that a committed state is committed is found out again.
func (t *tentatives) remove() error {
	if err := os.Remove(t.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove tentative state: %w", err)
	}
	t.now = tentative{}
	return nil
}

// settle forgets a tentative state that is committed, or was not taken over.
func (n *Node) settle() {
	if _, ok := n.tentative.get(); !ok {
		return
	}
	if err := n.tentative.set(tentative{}); err != nil {
		n.log.Warn("a state is still written down as tentative", "error", err)
	}
}

// screen looks at a message before Raft gets it, when all before it were carried
// out. An error means that this server has a state that the others went on
// without: it must not go on.
func (n *Node) screen(rpc raft.RPC) error {
	state, ok := n.tentative.get()
	if !ok {
		return nil
	}
	switch request := rpc.Command.(type) {
	case *raft.AppendEntriesRequest:
		if len(request.Entries) > 0 && request.Entries[0].Index <= state.index && n.isOvertakenBy(request.Term, state) {
			return n.rolledBack(request.Term, state)
		}
		if n.confirms(request, state) {
			n.settle()
		}
	case *raft.InstallSnapshotRequest:
		if request.LastLogIndex < state.index && n.isOvertakenBy(request.Term, state) {
			return n.rolledBack(request.Term, state)
		}
	}
	return nil
}

// isOvertakenBy reports whether the leader of a term has not got the state, when
// it sends something from before it: this server tells every leader how far its
// own log reaches, so none that has the state too ever goes back behind it.
func (n *Node) isOvertakenBy(term uint64, state tentative) bool {
	return term > state.under && term >= n.raft.CurrentTerm() && n.deps.Machine.Applied() >= state.index
}

// confirms reports whether a leader says that the state is committed.
func (n *Node) confirms(request *raft.AppendEntriesRequest, state tentative) bool {
	if request.Term < n.raft.CurrentTerm() || request.LeaderCommitIndex < state.index || request.PrevLogEntry < state.index {
		return false
	}
	if request.PrevLogEntry == state.index {
		return request.PrevLogTerm == state.term
	}
	var entry raft.Log
	return n.store.GetLog(request.PrevLogEntry, &entry) == nil && entry.Term == request.PrevLogTerm
}

func (n *Node) rolledBack(term uint64, state tentative) error {
	err := &rolledBackError{fmt.Sprintf("%v (the state of index %d, term %d; the leader of term %d has other entries there)", ErrRolledBack, state.index, state.term, term)}
	n.fail(err)
	return err
}

// rolledBackError is ErrRolledBack, and storage.ErrForgotten to those who ask
// whether the data must be given up: what is on this disk is nobody's history.
type rolledBackError struct{ text string }

func (e *rolledBackError) Error() string { return e.text }

func (e *rolledBackError) Is(target error) bool {
	return target == ErrRolledBack || target == storage.ErrForgotten
}

// installing writes down, before Raft gets it, that a snapshot of another server
// is tentative, and returns what to do when Raft has answered.
func (n *Node) installing(request *raft.InstallSnapshotRequest) (done func(installed bool), err error) {
	if request.Term < n.raft.CurrentTerm() {
		return func(bool) {}, nil // Raft refuses it
	}
	before, _ := n.tentative.get()
	if err := n.tentative.set(tentative{request.LastLogIndex, request.LastLogTerm, request.Term}); err != nil {
		return nil, err
	}
	return func(installed bool) {
		if installed {
			return
		}
		if err := n.tentative.set(before); err != nil {
			n.log.Warn("a state is still written down as tentative", "error", err)
		}
	}, nil
}
