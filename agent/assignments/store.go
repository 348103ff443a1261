package assignments

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// saveDelay is how long changes are collected before the file is written: a
// burst of a thousand starts costs a handful of writes, and what a crash within
// it forgets is told again by the leader.
const saveDelay = 200 * time.Millisecond

// saveAgain is how long to wait after a write that failed.
const saveAgain = 10 * time.Second

// Store is the set of assignments. It is safe for concurrent use.
type Store struct {
	path   string
	logger *slog.Logger
	bootID string
	// rebooted is set when the file is of an earlier boot of the machine.
	rebooted bool

	mu        sync.Mutex
	clusterID string
	// incarnation is the highest one of the cluster of which a leader was accepted.
	incarnation string
	term        uint64
	// setTerm is the term of the leader that the set comes from.
	setTerm   uint64
	revision  uint64
	workloads map[string]*argosyv1.Workload
	started   map[string]bool
	leaving   map[string]Leaving
	hash      []byte
	hashed    bool
	staged    *argosyv1.Assignments

	dirty chan struct{}
}

// Held is what an agent tells of its assignments when it introduces itself.
type Held struct {
	// ClusterID is the cluster it belongs to; empty when it never had a session.
	ClusterID string
	// Incarnation is the highest one of it that had a leader which was accepted.
	Incarnation string
	// Term is the highest term of a leader it accepted.
	Term uint64
	// Revision of the assignments.
	Revision uint64
	// Hash over the assignments.
	Hash []byte
	// Awaited are the names of those that instances on their way out wait for.
	Awaited []string
}

// Open reads what an earlier life of the agent left in the file at path. A
// file that is not there or damaged is the same as none: the leader tells
// everything again. bootID tells this boot of the machine from others; empty when
// it is not known. After a reboot nothing counts as started: what ran or had
// finished is to be started again.
func Open(path, bootID string, logger *slog.Logger) *Store {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		path:      path,
		logger:    logger,
		bootID:    bootID,
		workloads: make(map[string]*argosyv1.Workload),
		started:   make(map[string]bool),
		leaving:   make(map[string]Leaving),
		dirty:     make(chan struct{}, 1),
	}
	content, err := readFile(path)
	if err != nil {
		logger.Warn("could not read remembered assignments; going on without them", "path", path, "error", err)
		return s
	}
	if content == nil {
		return s
	}
	s.clusterID, s.incarnation = content.clusterID, content.incarnation
	s.term, s.setTerm, s.revision = content.term, content.setTerm, content.revision
	for _, w := range content.workloads {
		s.workloads[w.GetName()] = w
	}
	s.rebooted = bootID != "" && content.bootID != "" && bootID != content.bootID
	for _, name := range content.started {
		if s.workloads[name] != nil && !s.rebooted {
			s.started[name] = true
		}
	}
	for _, l := range content.leaving {
		s.leaving[l.key()] = l
	}
	return s
}

// Remembered returns what the file said, as a change that no leader vouches
// for yet.
func (s *Store) Remembered() Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Change{
		Full:     true,
		Revision: s.revision,
		Upserts:  slices.Collect(maps.Values(s.workloads)),
		Started:  maps.Clone(s.started),
		Leaving:  slices.Collect(maps.Values(s.leaving)),
	}
}

// Rebooted tells whether the machine was started anew since an earlier life of the
// agent wrote the file.
func (s *Store) Rebooted() bool { return s.rebooted }

// Held returns what the agent tells of its assignments.
func (s *Store) Held() Held {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.hashed {
		s.hash = argosyv1.AssignmentHash(slices.Collect(maps.Values(s.workloads)))
		s.hashed = true
	}
	return Held{ClusterID: s.clusterID, Incarnation: s.incarnation, Term: s.term, Revision: s.revision, Hash: s.hash}
}

// Workload returns a workload as it was assigned last, nil when it is not.
func (s *Store) Workload(name string) *argosyv1.Workload {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.workloads[name]
}

// Accept takes a leader for the one to follow, or refuses it with
// ErrOtherCluster, ErrLeftBehind or ErrStaleLeader. A cluster that was recovered
// counts its terms and revisions anew: those of the servers that it left behind
// mean nothing any more.
func (s *Store) Accept(clusterID, incarnation string, term uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if clusterID == "" {
		return fmt.Errorf("accept leader: it names no cluster: %w", ErrOtherCluster)
	}
	if s.clusterID != "" && s.clusterID != clusterID {
		return fmt.Errorf("accept leader of cluster %s: this agent belongs to cluster %s (to move it, stop it and remove %s): %w",
			clusterID, s.clusterID, s.path, ErrOtherCluster)
	}
	if s.clusterID == clusterID && incarnation != s.incarnation {
		if argosyv1.IncarnationNumber(incarnation) <= argosyv1.IncarnationNumber(s.incarnation) {
			return fmt.Errorf("accept leader of incarnation %s of the cluster: this agent has followed one of %s: %w",
				argosyv1.DescribeIncarnation(incarnation), argosyv1.DescribeIncarnation(s.incarnation), ErrLeftBehind)
		}
		s.term, s.setTerm = 0, 0
	}
	if term < s.term && !planted.On(planted.OldOrders) {
		return fmt.Errorf("accept leader of term %d: term %d was seen already: %w", term, s.term, ErrStaleLeader)
	}
	s.staged = nil
	if s.clusterID != clusterID || s.incarnation != incarnation || s.term != term {
		s.clusterID, s.incarnation, s.term = clusterID, incarnation, term
		s.touch()
	}
	return nil
}

// Apply takes what the leader sent. It returns nil while more messages of the
// same revision are to come, and ErrStaleLeader when the sender must not be
// listened to.
func (s *Store) Apply(message *argosyv1.Assignments) (*Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if message.GetTerm() < s.term && !planted.On(planted.OldOrders) {
		return nil, fmt.Errorf("apply assignments of term %d: term %d was seen already: %w", message.GetTerm(), s.term, ErrStaleLeader)
	}
	whole := s.stage(message)
	if message.GetPartial() {
		return nil, nil
	}
	s.staged = nil
	if whole.GetTerm() == s.setTerm && whole.GetRevision() < s.revision {
		return nil, fmt.Errorf("apply assignments of revision %d: revision %d was seen already in term %d: %w",
			whole.GetRevision(), s.revision, s.setTerm, ErrStaleLeader)
	}
	change := &Change{Full: whole.GetFull(), Vouched: true, Revision: whole.GetRevision(), Upserts: whole.GetUpserts(), Removals: whole.GetRemovals()}
	s.merge(change)
	s.term, s.setTerm, s.revision = whole.GetTerm(), whole.GetTerm(), whole.GetRevision()
	s.touch()
	return change, nil
}

// stage adds a message to those of the same revision that came before it.
func (s *Store) stage(message *argosyv1.Assignments) *argosyv1.Assignments {
	if s.staged == nil {
		s.staged = &argosyv1.Assignments{}
	}
	s.staged.Full = s.staged.Full || message.GetFull()
	s.staged.Revision = message.GetRevision()
	s.staged.Term = message.GetTerm()
	s.staged.Upserts = append(s.staged.Upserts, message.GetUpserts()...)
	s.staged.Removals = append(s.staged.Removals, message.GetRemovals()...)
	return s.staged
}

func (s *Store) merge(change *Change) {
	before := s.workloads
	if change.Full {
		s.workloads = make(map[string]*argosyv1.Workload, len(change.Upserts))
	}
	for _, name := range change.Removals {
		delete(s.workloads, name)
	}
	for _, w := range change.Upserts {
		name := w.GetName()
		if old := before[name]; old == nil || !Same(old, w) {
			delete(s.started, name)
		}
		s.workloads[name] = w
	}
	for name := range s.started {
		if s.workloads[name] == nil {
			delete(s.started, name)
		}
	}
	s.hashed = false
}

// Started remembers that the instance of a workload was started: from now on
// its absence means that it is lost or done, not that it is yet to be made.
func (s *Store) Started(workload *argosyv1.Workload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.workloads[workload.GetName()]
	if held == nil || s.started[workload.GetName()] || !Same(held, workload) {
		return
	}
	s.started[workload.GetName()] = true
	s.touch()
}

// Leaving remembers that an instance is to be removed: until that has come to
// its end the agent must say that it has it.
func (s *Store) Leaving(l Leaving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.leaving[l.key()]; !known {
		s.leaving[l.key()] = l
		s.touch()
	}
}

// Left forgets an instance that is gone.
func (s *Store) Left(l Leaving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.leaving[l.key()]; known {
		delete(s.leaving, l.key())
		s.touch()
	}
}

func (l Leaving) key() string { return l.Runtime + "/" + l.Instance.Key() }

func (s *Store) touch() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// Run writes changes to the file until the context ends, and once more then.
func (s *Store) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			select {
			case <-s.dirty:
				s.save()
			default:
			}
			return nil
		case <-s.dirty:
		}
		delay := saveDelay
		if !s.save() {
			delay = saveAgain
			s.touch()
		}
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (s *Store) save() bool {
	s.mu.Lock()
	content := &content{
		clusterID: s.clusterID, incarnation: s.incarnation, term: s.term, setTerm: s.setTerm, revision: s.revision,
		workloads: slices.Collect(maps.Values(s.workloads)),
		started:   slices.Sorted(maps.Keys(s.started)),
		leaving:   slices.Collect(maps.Values(s.leaving)),
		bootID:    s.bootID,
	}
	s.mu.Unlock()
	if err := writeFile(s.path, content); err != nil {
		s.logger.Error("could not remember assignments; a restart of the agent without a leader will supervise an older set", "path", s.path, "error", err)
		return false
	}
	return true
}
