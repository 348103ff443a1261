package consensus

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// notedSnapshots knows its newest snapshot without looking at the disk, so that
// a status may ask at any time.
type notedSnapshots struct {
	raft.SnapshotStore
	newest atomic.Pointer[snapshotNote]
}

type snapshotNote struct {
	index uint64
	taken time.Time
}

func noteSnapshots(store raft.SnapshotStore) (*notedSnapshots, error) {
	n := &notedSnapshots{SnapshotStore: store}
	known, err := store.List()
	if err != nil {
		return nil, err
	}
	if len(known) > 0 {
		n.newest.Store(&snapshotNote{known[0].Index, takenAt(known[0].ID)})
	}
	return n, nil
}

// takenAt reads the time out of a snapshot's id, which Raft makes of term, index
// and milliseconds.
func takenAt(id string) time.Time {
	millis, err := strconv.ParseInt(id[strings.LastIndexByte(id, '-')+1:], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

func (n *notedSnapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration, configurationIndex uint64, transport raft.Transport) (raft.SnapshotSink, error) {
	sink, err := n.SnapshotStore.Create(version, index, term, configuration, configurationIndex, transport)
	if err != nil {
		return nil, err
	}
	return &notedSink{SnapshotSink: sink, index: index, store: n}, nil
}

// notedSink tells its store when it is complete.
type notedSink struct {
	raft.SnapshotSink
	index uint64
	store *notedSnapshots
}

func (s *notedSink) Close() error {
	if err := s.SnapshotSink.Close(); err != nil {
		return err
	}
	s.store.newest.Store(&snapshotNote{s.index, takenAt(s.ID())})
	return nil
}
