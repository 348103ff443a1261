package fsm

import (
	"context"
	"slices"
	"sync"
)

// A beacon is an entry with the hash that the leader's state had at an earlier
// revision. Every machine compares its own and remembers the outcome; what to
// do about a difference is not the machine's to decide, since the leader's
// state may be the one that is wrong.

// Beacon is a beacon that was compared.
type Beacon struct {
	// Entry is the index of the entry that carried it.
	Entry uint64
	// Revision is the one that it names.
	Revision uint64
	// Claimed is the hash that the leader had there.
	Claimed [hashSize]byte
	// Own is the hash that this machine had there, when Known.
	Own [hashSize]byte
	// Known is false when this machine does not know: it restored a snapshot of
	// a later state.
	Known bool
}

// Differs tells whether the leader's state was another one.
func (b Beacon) Differs() bool { return b.Known && b.Own != b.Claimed }

// BeaconCounts are how many beacons were applied since the start, by outcome.
type BeaconCounts struct {
	Same, Different, Unknown uint64
}

const (
	// hashesKept is of how many of the last revisions the hash is remembered. A
	// beacon names one that its leader had applied when it proposed it, which is
	// some entries before its own.
	hashesKept = 1024
	// beaconsKept is how many of the last beacons are remembered, with the own
	// hash at their revisions: servers that lag ask for them late.
	beaconsKept = 128
)

// beacons is what a machine remembers of hashes and beacons.
type beacons struct {
	mu     sync.Mutex
	hashes [hashesKept]pastHash // a ring by count
	count  uint64
	kept   []Beacon // the oldest first
	counts BeaconCounts
	moved  chan struct{} // closed at the next beacon; nil when nobody waits
	// found are those of the entry that is being applied.
	found []Beacon
}

// pastHash is what a hash is laid out from.
type pastHash struct {
	sum            digest
	revision       uint64
	rows, outcomes int
}

func (p pastHash) hash() [hashSize]byte {
	return stateHash(p.sum, p.revision, p.rows, p.outcomes)
}

// restart forgets everything of the state before, which was replaced: what led
// to the new one was never here.
func (b *beacons) restart(view *View) {
	b.mu.Lock()
	b.count, b.kept = 0, nil
	b.mu.Unlock()
	b.reached(view)
}

// note takes in the beacons of an entry that is being applied.
func (b *beacons) note(index uint64, mutations []mutation) {
	for i := range mutations {
		if m := &mutations[i]; m.op == opBeacon {
			b.found = append(b.found, Beacon{Entry: index, Revision: m.beacon, Claimed: [hashSize]byte(m.value)})
		}
	}
}

// reached remembers the hash of a state, and compares the beacons of the entry
// that led to it.
func (b *beacons) reached(view *View) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hashes[b.count%hashesKept] = pastHash{
		sum: view.totals.sum, revision: view.revision, rows: view.totals.rowCount(), outcomes: view.totals.outcomes,
	}
	b.count++
	if len(b.found) == 0 {
		return
	}
	for _, one := range b.found {
		one.Own, one.Known = b.at(one.Revision)
		switch {
		case !one.Known:
			b.counts.Unknown++
		case one.Differs():
			b.counts.Different++
		default:
			b.counts.Same++
		}
		if len(b.kept) == beaconsKept {
			b.kept = slices.Delete(b.kept, 0, 1)
		}
		b.kept = append(b.kept, one)
	}
	b.found = b.found[:0]
	if b.moved != nil {
		close(b.moved)
		b.moved = nil
	}
}

// at returns the hash that the state had at a revision.
func (b *beacons) at(revision uint64) ([hashSize]byte, bool) {
	kept := min(b.count, hashesKept)
	// Backwards: beacons name a state of a moment ago. Revisions have gaps, a
	// search by halves would do as well but saves nothing here.
	for i := range kept {
		past := &b.hashes[(b.count-1-i)%hashesKept]
		if past.revision == revision {
			return past.hash(), true
		}
		if past.revision < revision {
			break
		}
	}
	for i := len(b.kept) - 1; i >= 0; i-- {
		if one := &b.kept[i]; one.Revision == revision && one.Known {
			return one.Own, true
		}
	}
	return [hashSize]byte{}, false
}

// HashAt returns the hash that the state had at a revision, as far as that is
// remembered: for the last thousand revisions, and for those that one of the
// last beacons named.
func (m *Machine) HashAt(revision uint64) ([hashSize]byte, bool) {
	m.beacons.mu.Lock()
	defer m.beacons.mu.Unlock()
	return m.beacons.at(revision)
}

// Beacons returns the beacons after an entry that are remembered, the oldest
// first, as soon as there is one.
func (m *Machine) Beacons(ctx context.Context, after uint64) ([]Beacon, error) {
	b := &m.beacons
	for {
		b.mu.Lock()
		from, _ := slices.BinarySearchFunc(b.kept, after, func(one Beacon, after uint64) int {
			if one.Entry <= after {
				return -1
			}
			return 1
		})
		newer := slices.Clone(b.kept[from:])
		if len(newer) == 0 && b.moved == nil {
			b.moved = make(chan struct{})
		}
		moved := b.moved
		b.mu.Unlock()
		if len(newer) > 0 {
			return newer, nil
		}
		select {
		case <-moved:
		case <-m.FailedC():
			return nil, m.Failed()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// LastBeacon returns the newest beacon, false when none is remembered.
func (m *Machine) LastBeacon() (Beacon, bool) {
	m.beacons.mu.Lock()
	defer m.beacons.mu.Unlock()
	if len(m.beacons.kept) == 0 {
		return Beacon{}, false
	}
	return m.beacons.kept[len(m.beacons.kept)-1], true
}

// BeaconCounts returns how many beacons were compared since the start.
func (m *Machine) BeaconCounts() BeaconCounts {
	m.beacons.mu.Lock()
	defer m.beacons.mu.Unlock()
	return m.beacons.counts
}

// Fail makes the machine fail for a reason that was found outside of it: its
// state is not the one that the others have, or is damaged. It keeps what it
// has and applies nothing more.
func (m *Machine) Fail(cause error) { _ = m.fail(cause) }
