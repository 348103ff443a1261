package consensus

import (
	"encoding/binary"
	"io"
	"time"

	"github.com/hashicorp/raft"
)

// applier hands committed entries to the machine, all but those that were
// appended in another term than the one they were proposed for. A leader that
// falls and rises again at once may find proposals of its former term in its
// queue: they were judged on a state with others before them that were lost,
// and must not be carried out. Every replica comes to the same verdict, since
// both terms are in the entry.
type applier struct {
	machine Machine
	meter   Meter
	// reconfigured gets a value when the configuration may be another one.
	reconfigured chan struct{}
	// unrestored is told why a snapshot could not be restored.
	unrestored func(error)
	// takeover is asked about an error of Restore.
	takeover func(error) error
}

var _ raft.ConfigurationStore = applier{}

// overtaken is the response to an entry that was not carried out.
type overtaken struct{}

func (a applier) Apply(entry *raft.Log) any {
	if isOvertaken(entry) {
		return overtaken{}
	}
	began := time.Now()
	response := a.machine.Apply(entry)
	a.meter.Applied(time.Since(began))
	return response
}

func (a applier) StoreConfiguration(index uint64, configuration raft.Configuration) {
	if store, ok := a.machine.(raft.ConfigurationStore); ok {
		store.StoreConfiguration(index, configuration)
	}
	a.signal()
}

func (a applier) Snapshot() (raft.FSMSnapshot, error) {
	began := time.Now()
	taken, err := a.machine.Snapshot()
	a.meter.SnapshotTaken(time.Since(began))
	if err != nil {
		return nil, err
	}
	return timedSnapshot{taken, a.meter}, nil
}

func (a applier) Restore(snapshot io.ReadCloser) error {
	began := time.Now()
	if err := a.machine.Restore(snapshot); err != nil {
		a.unrestored(err)
		return a.takeover(err)
	}
	a.signal()
	a.meter.Restored(time.Since(began))
	return nil
}

// timedSnapshot counts how long a snapshot takes to write.
type timedSnapshot struct {
	raft.FSMSnapshot
	meter Meter
}

func (s timedSnapshot) Persist(sink raft.SnapshotSink) error {
	began := time.Now()
	err := s.FSMSnapshot.Persist(sink)
	s.meter.SnapshotWritten(time.Since(began), err)
	return err
}

func (a applier) signal() {
	select {
	case a.reconfigured <- struct{}{}:
	default:
	}
}

// stamp marks an entry with the term it is proposed for.
func stamp(term uint64) []byte { return binary.BigEndian.AppendUint64(nil, term) }

func isOvertaken(entry *raft.Log) bool {
	return len(entry.Extensions) == 8 && binary.BigEndian.Uint64(entry.Extensions) != entry.Term
}

// reaches reports whether an entry is one that reaches the machine, so that
// one can wait for it there.
func (a applier) reaches(entry *raft.Log) bool {
	switch entry.Type {
	case raft.LogCommand:
		return !isOvertaken(entry)
	case raft.LogConfiguration:
		_, ok := a.machine.(raft.ConfigurationStore)
		return ok
	default:
		return false
	}
}
