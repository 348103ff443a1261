package evidence

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// raftDir is where a server keeps Raft's state in its data directory.
const raftDir = "raft"

// snapshotsKept is how many snapshots a server keeps.
const snapshotsKept = 2

// maxHeader bounds the header of a snapshot.
const maxHeader = 1 << 20

// directory is a copy of a server's Raft state.
type directory struct {
	replica   history.Replica
	store     *storage.Store
	snapshots raft.SnapshotStore
	// list are the snapshots that can be restored, the newest first, kept all that
	// there are.
	list, kept []*raft.SnapshotMeta
}

func (d *directory) fail(err error) {
	d.replica.Error = err.Error()
}

func (d *directory) damaged(format string, args ...any) {
	d.replica.Damaged = append(d.replica.Damaged, fmt.Sprintf(format, args...))
}

func (d *directory) close() error {
	if d.store == nil {
		return nil
	}
	return d.store.Close()
}

// open copies a data directory and opens the copy.
func (d *directory) open(path, temporary string) error {
	held, err := consensus.Hold(path)
	if err != nil {
		return err
	}
	defer func() { _ = held.Close() }()
	identity, err := consensus.ReadIdentity(path, argosyv1.FeatureLevel)
	if err != nil {
		return err
	}
	d.replica.ID = identity.ServerID
	copied := filepath.Join(temporary, d.replica.Server)
	if err := os.CopyFS(copied, os.DirFS(filepath.Join(path, raftDir))); err != nil {
		return fmt.Errorf("copy its Raft state to %s: %w; set TMPDIR to a directory with more room if that was full", temporary, err)
	}
	cfg := storage.DefaultConfig(copied)
	if _, err := os.Stat(filepath.Join(copied, "wal")); err == nil {
		cfg.Kind = storage.WAL
	}
	if d.store, err = storage.Open(cfg); err != nil {
		return err
	}
	if d.snapshots, err = storage.OpenSnapshots(copied, snapshotsKept, hclog.NewNullLogger()); err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	if d.list, err = d.snapshots.List(); err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	d.kept = slices.Clone(d.list)
	d.list = slices.DeleteFunc(d.list, func(meta *raft.SnapshotMeta) bool {
		hash, err := d.restored(meta)
		if err != nil {
			d.damaged("snapshot %s: %v", meta.ID, err)
			return true
		}
		d.replica.Snapshots = append(d.replica.Snapshots, hash)
		return false
	})
	return d.extent()
}

// restored restores a snapshot into an empty state machine.
func (d *directory) restored(meta *raft.SnapshotMeta) (history.SnapshotHash, error) {
	hash := history.SnapshotHash{Index: meta.Index}
	_, source, err := d.snapshots.Open(meta.ID)
	if err != nil {
		return hash, err
	}
	header := &argosyv1.SnapshotHeader{}
	err = protodelim.UnmarshalOptions{MaxSize: maxHeader}.UnmarshalFrom(bufio.NewReader(source), header)
	if err = errors.Join(err, source.Close()); err != nil {
		return hash, fmt.Errorf("read header: %w", err)
	}
	hash.Said = hex.EncodeToString(header.GetStateHash())
	machine, err := d.machineAt(meta)
	if err != nil {
		return hash, err
	}
	hash.Had = hashOf(machine)
	return hash, nil
}

func (d *directory) machineAt(meta *raft.SnapshotMeta) (*fsm.Machine, error) {
	machine, err := fsm.New(fsm.DefaultConfig())
	if err != nil || meta == nil {
		return machine, err
	}
	_, source, err := d.snapshots.Open(meta.ID)
	if err != nil {
		return nil, err
	}
	return machine, machine.Restore(source)
}

// extent finds out between which indices the log can be read.
func (d *directory) extent() error {
	first, err := d.store.FirstIndex()
	if err != nil {
		return err
	}
	last, err := d.store.LastIndex()
	if err != nil {
		return err
	}
	// A snapshot that was taken over leaves a gap in the log, and what is damaged
	// may be before the newest snapshot, where no server looks any more: the log
	// begins after it.
	for index := last; index >= first && index > 0; index-- {
		var entry raft.Log
		if err := d.store.GetLog(index, &entry); err != nil {
			if !errors.Is(err, raft.ErrLogNotFound) {
				d.damaged("log entry %d: %v", index, err)
			} else if !d.leapt(index) {
				d.damaged("log entry %d is missing, the log is of %d to %d", index, first, last)
			}
			first = index + 1
			break
		}
	}
	if last > 0 && first <= last {
		d.replica.First, d.replica.Last = first, last
	}
	return nil
}

// leapt tells whether a snapshot may have been taken over that ended at an index,
// which is missing in the log though entries before it are there: the log then went
// on after it. Once there are as many snapshots as are kept, older ones may have been
// removed.
func (d *directory) leapt(index uint64) bool {
	if len(d.kept) == snapshotsKept && index < d.kept[len(d.kept)-1].Index {
		return true
	}
	return slices.ContainsFunc(d.kept, func(meta *raft.SnapshotMeta) bool { return meta.Index == index })
}

// newest returns the newest snapshot that is not after an index, nil when there
// is none.
func (d *directory) newest(end uint64) *raft.SnapshotMeta {
	for _, meta := range d.list {
		if meta.Index <= end {
			return meta
		}
	}
	return nil
}

// end is how far the state of the directory goes.
func (d *directory) end() uint64 {
	end := d.replica.Last
	if len(d.list) > 0 {
		end = max(end, d.list[0].Index)
	}
	return end
}

// term returns that of an entry, or of the snapshot that ends there.
func (d *directory) term(index uint64) (uint64, bool) {
	var entry raft.Log
	if d.store != nil && d.store.GetLog(index, &entry) == nil {
		return entry.Term, true
	}
	for _, meta := range d.list {
		if meta.Index == index {
			return meta.Term, true
		}
	}
	return 0, false
}

// read carries out what is committed, from the newest snapshot on as the server
// would, and once more from the first entry on where there is one.
func (d *directory) read(ctx context.Context, end uint64, wanted map[uint64]bool) error {
	if err := d.entries(ctx); err != nil {
		return err
	}
	meta := d.newest(end)
	machine, err := d.machineAt(meta)
	if err != nil {
		return err
	}
	from := uint64(1)
	if meta != nil {
		from = meta.Index + 1
	}
	end = min(end, d.end())
	if d.replica.First > from && end >= from {
		d.damaged("the state ends at entry %d, and the log can be read from %d on", from-1, d.replica.First)
		return nil
	}
	if err := d.replay(ctx, machine, from, end, nil); err != nil {
		return err
	}
	if d.replica.Objects, err = objects(machine); err != nil {
		return err
	}
	d.replica.Revision, d.replica.Hash = machine.View().Revision(), hashOf(machine)
	if d.replica.First != 1 {
		return nil
	}
	if machine, err = d.machineAt(nil); err != nil {
		return err
	}
	return d.replay(ctx, machine, 1, end, func(index uint64) {
		if wanted[index] {
			d.replica.Hashes = append(d.replica.Hashes, history.IndexHash{Index: index, Hash: hashOf(machine)})
		}
	})
}

// replay carries out the entries of the log between two indices.
func (d *directory) replay(ctx context.Context, machine *fsm.Machine, from, to uint64, after func(index uint64)) error {
	for index := from; index <= to; index++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var entry raft.Log
		if err := d.store.GetLog(index, &entry); err != nil {
			return err
		}
		switch entry.Type {
		case raft.LogCommand:
			if !consensus.Overtaken(&entry) {
				machine.Apply(&entry)
			}
		case raft.LogConfiguration:
			machine.StoreConfiguration(index, raft.DecodeConfiguration(entry.Data))
		}
		if err := machine.Failed(); err != nil {
			return err
		}
		if after != nil {
			after(index)
		}
	}
	return nil
}

func objects(machine *fsm.Machine) ([]history.Object, error) {
	var all []history.Object
	for row := range machine.View().Workloads() {
		w, err := row.Workload()
		if err != nil {
			return nil, err
		}
		o := workloadObject(w)
		o.Revision, o.Created = w.GetRevision(), w.GetCreatedRevision()
		all = append(all, o)
	}
	for row := range machine.View().Configs() {
		c, err := row.Config()
		if err != nil {
			return nil, err
		}
		o := configObject(c)
		o.Revision, o.Created = c.GetRevision(), c.GetCreatedRevision()
		all = append(all, o)
	}
	return all, nil
}

// workloadObject is a workload without its revisions.
func workloadObject(w *argosyv1.Workload) history.Object {
	o := history.Object{Name: w.GetName(), Value: history.Value(w.GetRuntimeConfig())}
	if len(w.GetConfigs()) > 0 {
		o.Uses, o.Rendered = history.Uses(w.GetConfigs()), history.Value(w.GetRendered().GetRuntimeConfig())
	}
	return o
}

// configObject is a config without its revisions.
func configObject(c *argosyv1.Config) history.Object {
	return history.Object{Name: c.GetKey(), Value: c.GetValue().GetText()}
}
