package recovery

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// How far terms and revisions go on above those that are known. The lost servers
// may have gone further than the survivor knows; nobody who remembers a term or
// a revision of theirs may find it again in the new cluster.
const (
	termGap     = 1_000
	revisionGap = 1_000_000
)

// Plan is what a recovery will make of a survivor.
type Plan struct {
	survivor *Survey
	// Incarnation is the life of the cluster that begins.
	Incarnation string
	// Address is where the cluster of one server will know itself.
	Address string
	// Term and Revision are what it begins at.
	Term, Revision uint64
	// Backup is where the Raft state of before will be.
	Backup string
}

// NewPlan decides what a recovery from a survivor makes. It changes nothing.
func NewPlan(survivor *Survey) (*Plan, error) {
	next, err := argosyv1.NextIncarnation(survivor.Incarnation)
	if err != nil {
		return nil, fmt.Errorf("plan recovery: %w", err)
	}
	self, ok := survivor.Self()
	if !ok {
		return nil, fmt.Errorf("plan recovery: server %s had been removed from the cluster: its state is of before that; use another data directory, or restore a backup into a new cluster", survivor.ServerID)
	}
	return &Plan{
		survivor:    survivor,
		Incarnation: next,
		Address:     self.RaftAddress,
		Term:        survivor.Term + termGap,
		Revision:    survivor.EndIndex + revisionGap,
		Backup:      filepath.Join(survivor.Dir, raftDir+".before-"+next),
	}, nil
}

// CarryOut makes a cluster of the survivor alone. Its data directory must be
// held since before it was examined. The machine of the survey is spent by it.
func (p *Plan) CarryOut() (err error) {
	dir := p.survivor.Dir
	// A recovery that was cut off may have left one.
	aside := filepath.Join(dir, raftDir+".recovered")
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("recover %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("recover %s: %w", dir, errors.Join(err, os.RemoveAll(aside)))
		}
	}()
	if err := errors.Join(p.build(aside), storage.SyncDir(aside)); err != nil {
		return err
	}
	// The incarnation first: were it the other way round, a crash in between
	// would leave a cluster of one server that the old ones could talk to.
	if err := consensus.WriteIncarnation(dir, p.Incarnation); err != nil {
		return err
	}
	if err := exchange(aside, filepath.Join(dir, raftDir)); err != nil {
		return err
	}
	return errors.Join(os.Rename(aside, p.Backup), storage.SyncDir(dir))
}

// build makes a Raft directory with an empty log, and the state in a snapshot.
func (p *Plan) build(aside string) error {
	cfg := storage.DefaultConfig(aside)
	cfg.Kind = p.survivor.LogStore
	store, err := storage.Open(cfg)
	if err != nil {
		return err
	}
	if err := errors.Join(store.SetUint64(keyTerm, p.Term), store.Close()); err != nil {
		return err
	}
	snapshots, err := storage.OpenSnapshots(aside, 2, hclog.NewNullLogger())
	if err != nil {
		return fmt.Errorf("make snapshots: %w", err)
	}
	alone := raft.Configuration{Servers: []raft.Server{{
		Suffrage: raft.Voter,
		ID:       raft.ServerID(p.survivor.ServerID),
		Address:  raft.ServerAddress(p.Address),
	}}}
	// The state is the same at its new revision.
	p.survivor.machine.StoreConfiguration(p.Revision, alone)
	state, err := p.survivor.machine.Snapshot()
	if err != nil {
		return err
	}
	defer state.Release()
	// It only says how addresses are written.
	_, transport := raft.NewInmemTransport("")
	sink, err := snapshots.Create(raft.SnapshotVersionMax, p.Revision, p.survivor.EndTerm, alone, p.Revision, transport)
	if err != nil {
		return fmt.Errorf("make snapshot: %w", err)
	}
	return state.Persist(sink)
}

// exchange puts each of two directories in the other's place, at once where the
// file system can do that.
func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if err == nil || !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	between := b + ".exchanged"
	if err := os.Rename(b, between); err != nil {
		return err
	}
	if err := os.Rename(a, b); err != nil {
		return errors.Join(err, os.Rename(between, b))
	}
	return os.Rename(between, a)
}
