package recovery

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// Survey is what there is in a data directory.
type Survey struct {
	// Dir is the directory.
	Dir string
	consensus.Identity
	// LogStore is the kind of its log.
	LogStore storage.Kind
	// Term is the highest that the server has seen.
	Term uint64
	// VoteTerm and Vote are when and for whom it voted last.
	VoteTerm uint64
	Vote     string
	// FirstIndex to LastIndex are in the log; 0 when it is empty.
	FirstIndex, LastIndex uint64
	// SnapshotIndex and SnapshotTerm are those of the newest snapshot that can be
	// read; 0 when there is none. Everything up to it was committed.
	SnapshotIndex, SnapshotTerm uint64
	// EndIndex and EndTerm are those of the newest entry of all.
	EndIndex, EndTerm uint64
	// Servers are those of the cluster, as the newest entry about them says.
	Servers []consensus.Server
	// Revision, Workloads, Agents and StateHash describe the state that the
	// newest entry leads to.
	Revision          uint64
	Workloads, Agents int
	StateHash         string

	machine *fsm.Machine
}

// raftDir is where a server keeps Raft's state in its data directory.
const raftDir = "raft"

// Examine looks into a data directory that is held (consensus.Hold), and changes
// nothing in it. The copy that it works on is made in the directory for
// temporary files.
func Examine(ctx context.Context, dir string) (s *Survey, err error) {
	s = &Survey{Dir: dir}
	if s.Identity, err = consensus.ReadIdentity(dir, argosyv1.FeatureLevel); err != nil {
		return nil, err
	}
	original := filepath.Join(dir, raftDir)
	if _, err := os.Stat(original); errors.Is(err, os.ErrNotExist) || s.ClusterID == "" {
		return nil, fmt.Errorf("examine %s: %w", dir, ErrNoState)
	}
	temporary, err := os.MkdirTemp("", "argosy-recover-*")
	if err != nil {
		return nil, fmt.Errorf("examine %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	if err := copyTree(ctx, original, temporary); err != nil {
		return nil, fmt.Errorf("examine %s: copy its Raft state to %s: %w; set TMPDIR to a directory with more room if that was full", dir, temporary, err)
	}
	s.LogStore = storage.BoltDB
	if _, err := os.Stat(filepath.Join(temporary, "wal")); err == nil {
		s.LogStore = storage.WAL
	}
	if err := s.read(ctx, temporary); err != nil {
		return nil, fmt.Errorf("examine %s: %w", dir, err)
	}
	return s, nil
}

// read reads the Raft state of a copy, and carries it out in a machine of its
// own.
func (s *Survey) read(ctx context.Context, copied string) (err error) {
	cfg := storage.DefaultConfig(copied)
	cfg.Kind = s.LogStore
	store, err := storage.Open(cfg)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := s.readVote(store); err != nil {
		return err
	}
	if s.machine, err = fsm.New(fsm.DefaultConfig()); err != nil {
		return err
	}
	if err := s.readSnapshots(copied); err != nil {
		return err
	}
	if err := s.readLog(ctx, store); err != nil {
		return err
	}
	if s.EndIndex == 0 {
		return ErrNoState
	}
	view := s.machine.View()
	hash := view.Hash()
	s.Revision, s.StateHash = view.Revision(), hex.EncodeToString(hash[:])
	s.Workloads, s.Agents = view.Count(argosyv1.RowKind_ROW_KIND_WORKLOAD), view.Count(argosyv1.RowKind_ROW_KIND_AGENT)
	return nil
}

// Raft's keys of its term and vote.
var (
	keyTerm     = []byte("CurrentTerm")
	keyVoteTerm = []byte("LastVoteTerm")
	keyVote     = []byte("LastVoteCand")
)

func (s *Survey) readVote(store *storage.Store) error {
	number := func(key []byte) (uint64, error) {
		value, err := store.GetUint64(key)
		if err != nil && err.Error() == "not found" { // as Raft does
			return 0, nil
		}
		return value, err
	}
	var errs [2]error
	s.Term, errs[0] = number(keyTerm)
	s.VoteTerm, errs[1] = number(keyVoteTerm)
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	// Who never voted has none.
	vote, _ := store.Get(keyVote)
	s.Vote = string(vote)
	return nil
}

func (s *Survey) readSnapshots(copied string) error {
	snapshots, err := storage.OpenSnapshots(copied, 2, hclog.NewNullLogger())
	if err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	list, err := snapshots.List()
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	var problems []error
	for _, meta := range list {
		_, source, err := snapshots.Open(meta.ID)
		if err == nil {
			err = s.machine.Restore(source)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("snapshot %s: %w", meta.ID, err))
			continue
		}
		s.SnapshotIndex, s.SnapshotTerm = meta.Index, meta.Term
		s.EndIndex, s.EndTerm = meta.Index, meta.Term
		s.Servers = serversOf(meta.Configuration)
		return nil
	}
	if len(list) > 0 {
		return fmt.Errorf("%w: none of its snapshots can be read: %w", ErrDamaged, errors.Join(problems...))
	}
	return nil
}

func (s *Survey) readLog(ctx context.Context, store *storage.Store) error {
	first, err := store.FirstIndex()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	last, err := store.LastIndex()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	s.FirstIndex, s.LastIndex = first, last
	if last > s.EndIndex && first > s.EndIndex+1 {
		return fmt.Errorf("%w: its snapshot ends at entry %d and its log begins at %d", ErrDamaged, s.EndIndex, first)
	}
	for index := s.EndIndex + 1; index <= last; index++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var entry raft.Log
		if err := store.GetLog(index, &entry); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		switch entry.Type {
		case raft.LogCommand:
			if !consensus.Overtaken(&entry) {
				s.machine.Apply(&entry)
			}
		case raft.LogConfiguration:
			configuration := raft.DecodeConfiguration(entry.Data)
			s.machine.StoreConfiguration(index, configuration)
			s.Servers = serversOf(configuration)
		}
		if err := s.machine.Failed(); err != nil {
			return err
		}
		s.EndIndex, s.EndTerm = entry.Index, entry.Term
	}
	return nil
}

func serversOf(configuration raft.Configuration) []consensus.Server {
	var servers []consensus.Server
	for _, server := range configuration.Servers {
		servers = append(servers, consensus.Server{ID: string(server.ID), RaftAddress: string(server.Address), Voter: server.Suffrage == raft.Voter})
	}
	return servers
}

// Self returns the server of the directory as its cluster knows it, false when
// it was removed.
func (s *Survey) Self() (consensus.Server, bool) {
	i := slices.IndexFunc(s.Servers, func(server consensus.Server) bool { return server.ID == s.ServerID })
	if i < 0 {
		return consensus.Server{}, false
	}
	return s.Servers[i], true
}

// Newest returns the survey that Raft itself would choose: the one whose newest
// entry has the highest term and, among those, the highest index.
func Newest(surveys []*Survey) (*Survey, error) {
	if len(surveys) == 0 {
		return nil, fmt.Errorf("choose a survivor: no data directory")
	}
	first := surveys[0]
	for _, s := range surveys[1:] {
		if s.ClusterID != first.ClusterID {
			return nil, fmt.Errorf("choose a survivor: %w: %s is of cluster %s, %s of cluster %s", ErrMixed, first.Dir, first.ClusterID, s.Dir, s.ClusterID)
		}
		if s.ServerID == first.ServerID {
			return nil, fmt.Errorf("choose a survivor: %w: %s and %s are both of server %s; one is a copy, name the newer one alone", ErrMixed, first.Dir, s.Dir, s.ServerID)
		}
	}
	return slices.MaxFunc(surveys, func(a, b *Survey) int {
		return cmp.Or(
			cmp.Compare(argosyv1.IncarnationNumber(a.Incarnation), argosyv1.IncarnationNumber(b.Incarnation)),
			cmp.Compare(a.EndTerm, b.EndTerm),
			cmp.Compare(a.EndIndex, b.EndIndex))
	}), nil
}
