// Package fsm is the replicated state machine: the desired state of the
// cluster (workloads, agents, settings) and the remembered answers to write
// requests, as rows that entries of Raft's log put and delete.
//
// The invariant it protects: two machines that were given the same entries
// hold the same state, byte for byte, whatever version of the code they run
// and however often they were restarted from a snapshot in between. From it
// follows what the package has not: no clock, no randomness, no I/O of its
// own, and no judgement. Whether a write is allowed was decided by the leader
// before it became an entry; here it is carried out.
//
// # What an entry may do
//
// An entry is applied whole or not at all. One that this code does not
// understand to the last field (damaged, or written by a newer version) is
// never skipped and never applied in part, since either would make this
// replica differ from the others without anybody knowing: the machine then
// fails. A failed machine keeps its last good state for reading, applies
// nothing more, takes no snapshot (Raft would throw away the log that the
// state lacks) and does not recover; the server that holds it must stop.
//
// # Revisions
//
// The revision of the state is the index of the last entry that reached the
// machine, entries of Raft's configuration included; Raft's no-ops and
// barriers never reach it. A row's revision is that of the entry that last
// wrote it.
//
// # Beacons
//
// An entry may carry a beacon: the hash that the leader's state had at an
// earlier revision. Each machine compares its own and remembers the outcome
// (Beacons, HashAt). It does not judge: the state that is wrong may be the
// leader's, which only a majority can tell.
//
// # Reading
//
// A View is the whole state at one revision. Taking one costs nothing, it
// never changes, needs no closing, and may be held for as long as one likes at
// the price of the memory of rows that were replaced since. Rows, batches and
// everything reachable from them are shared between all readers: look, but do
// not write.
//
// State and what comes after it are joined without gap or duplicate by
//
//	view := machine.View()
//	changes, err := machine.Subscribe(view.Revision())
//
// The feed of changes is one ring of bounded size for all subscribers. A
// subscriber is only a position in it: one that is too slow is told so
// (ErrCompacted) and starts again from a view. A batch is in the feed only
// when the views show it already.
package fsm
