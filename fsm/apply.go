package fsm

import (
	"fmt"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// scratch is memory that is used again for each entry.
type scratch struct {
	entry  entry
	hasher hasher
	id     []byte
	// where in an entry's changes a row is
	touched map[rowKey]int
}

type rowKey struct {
	kind argosyv1.RowKind
	key  string
}

// maxTouchedKept bounds the memory that one giant entry leaves behind.
const maxTouchedKept = 512

// apply carries out an entry beside the current state and returns what is to be
// published. After an error nothing has changed.
//
// It goes in three steps: decode the whole entry; work out what it does to each
// row, reading only the state before it; write that in one transaction.
func (m *Machine) apply(index uint64, data []byte) (*View, Batch, error) {
	current := m.view.Load()
	if index <= current.revision {
		return nil, Batch{}, fmt.Errorf("state is at revision %d already: %w", current.revision, ErrOutOfOrder)
	}
	e := &m.scratch.entry
	defer e.release()
	if err := e.decode(data); err != nil {
		return nil, Batch{}, err
	}

	next := &View{index: m.index, revision: index, totals: current.totals}
	changes, upTo := m.scratch.resolve(current, e.mutations, index)
	forgotten := next.forget(current, upTo)
	var remembered *outcomes
	if len(e.outcomes) > 0 {
		remembered = newOutcomes(index, e.proposedAt, e.outcomes)
		remembered.digest = m.scratch.hasher.outcomes(remembered)
		next.totals.remember(remembered)
	}

	w := m.store.write()
	if err := w.carryOut(changes, forgotten, remembered); err != nil {
		w.abort()
		return nil, Batch{}, err
	}
	w.commit()
	for _, c := range changes {
		if c.After == nil {
			next.totals.deleteRow(c.Before)
		} else {
			next.totals.putRow(c.Before, c.After)
		}
		if countsAsChange(c.row().Kind) {
			next.totals.lastWorkload = index
		}
	}
	next.reader = m.store.read()
	m.beacons.note(index, e.mutations)
	// The indexes may run ahead of the views, not behind.
	m.index.groups.update(changes, index)
	m.index.outcomes.update(remembered, forgotten)
	return next, Batch{Revision: index, ProposedAt: e.proposedAt, Changes: changes}, nil
}

// resolve returns what mutations do to rows, each row once, and up to which
// revision they forget outcomes.
func (s *scratch) resolve(current *View, mutations []mutation, index uint64) (changes []Change, upTo uint64) {
	if len(mutations) == 0 {
		return nil, 0
	}
	changes = make([]Change, 0, len(mutations))
	if s.touched == nil || len(s.touched) > maxTouchedKept {
		s.touched = make(map[rowKey]int, len(mutations))
	}
	clear(s.touched)
	for i := range mutations {
		mu := &mutations[i]
		switch mu.op {
		case opExpireOutcomes:
			upTo = max(upTo, mu.upTo)
			continue
		case opBeacon:
			// Compared when the entry is in the state; it changes nothing.
			continue
		}
		s.id = appendID(s.id[:0], mu.kind, mu.key)
		at, again := s.touched[rowKey{kind: mu.kind, key: string(mu.key)}]
		var before, after *Row
		if again {
			before = changes[at].After
		} else {
			before = current.reader.row(s.id)
		}
		if mu.op == opPut {
			after = newRow(before, mu.kind, s.id, mu.group, mu.value, index, current.index.groups)
			after.digest = s.hasher.row(after)
		}
		if again {
			changes[at].After = after
		} else if c := (Change{Before: before, After: after}); c.row() != nil {
			s.touched[rowKey{kind: mu.kind, key: c.row().Key}] = len(changes)
			changes = append(changes, c)
		}
	}
	// What the entry created and deleted again was never there.
	kept := changes[:0]
	for _, c := range changes {
		if c.row() != nil {
			kept = append(kept, c)
		}
	}
	clear(changes[len(kept):])
	if len(kept) == 0 {
		return nil, upTo
	}
	return kept, upTo
}

// forget takes the outcomes of entries up to a revision out of the totals and
// returns them.
func (v *View) forget(current *View, upTo uint64) []*outcomes {
	if current.totals.outcomes == 0 || current.totals.oldestRevision > upTo {
		return nil
	}
	var forgotten []*outcomes
	var oldest *outcomes
	for o := range current.reader.outcomes() {
		if o.revision > upTo {
			oldest = o
			break
		}
		forgotten = append(forgotten, o)
	}
	for _, o := range forgotten {
		v.totals.forget(o, oldest)
	}
	return forgotten
}

func (w writer) carryOut(changes []Change, forgotten []*outcomes, remembered *outcomes) error {
	for _, c := range changes {
		var err error
		if c.After == nil {
			err = w.delete(c.Before)
		} else {
			err = w.put(c.After)
		}
		if err != nil {
			return fmt.Errorf("write %s %q: %w", c.row().Kind, c.row().Key, err)
		}
	}
	for _, o := range forgotten {
		if err := w.forget(o); err != nil {
			return fmt.Errorf("forget outcomes of revision %d: %w", o.revision, err)
		}
	}
	if remembered != nil {
		if err := w.remember(remembered); err != nil {
			return fmt.Errorf("remember outcomes: %w", err)
		}
	}
	return nil
}
