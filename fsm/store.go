package fsm

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// This file is how the state is kept: one writer at a time that commits as a
// whole, and readers of a fixed state that cost nothing to make.

// store is the writable end.
type store struct {
	state reader
	// transaction counts those that were begun.
	transaction uint64
}

func newStore() (*store, error) { return &store{}, nil }

// read fixes the state as it is now.
func (s *store) read() reader { return s.state }

// write begins a transaction; it ends with commit or abort.
func (s *store) write() writer {
	s.transaction++
	next := s.state
	return writer{store: s, owner: s.transaction, next: &next}
}

// writer changes the state.
type writer struct {
	store *store
	owner uint64
	next  *reader
}

func (w writer) commit() { w.store.state = *w.next }
func (w writer) abort()  {}

func (w writer) put(row *Row) error {
	w.next.tries[row.Kind].put(w.owner, row)
	return nil
}

func (w writer) delete(row *Row) error {
	w.next.tries[row.Kind].delete(w.owner, row.id)
	return nil
}

// remember puts outcomes behind all others; they are the newest.
func (w writer) remember(o *outcomes) error {
	if w.next.newest == nil {
		w.next.oldest = o
	} else {
		w.next.newest.next = o
	}
	w.next.newest = o
	return nil
}

// forget takes outcomes out; they are the oldest.
func (w writer) forget(o *outcomes) error {
	if o != w.next.oldest {
		return fmt.Errorf("they are not the oldest: %w", ErrOutOfOrder)
	}
	if o == w.next.newest {
		w.next.oldest, w.next.newest = nil, nil
		return nil
	}
	w.next.oldest = o.next
	return nil
}

// reader reads one fixed state; any number of goroutines may.
type reader struct {
	tries [kinds]trie
	// The remembered outcomes are a chain, which goes on behind the newest of an
	// older state.
	oldest, newest *outcomes
}

func (r *reader) row(id []byte) *Row {
	if kind := int(id[0]); kind < kinds {
		return r.tries[kind].get(id)
	}
	return nil
}

// rows yields the rows of a kind in order of key.
func (r *reader) rows(kind argosyv1.RowKind) iter.Seq[*Row] {
	return func(yield func(*Row) bool) { r.inOrder(kind, yield) }
}

func (r *reader) inOrder(kind argosyv1.RowKind, yield func(*Row) bool) bool {
	if kind < 0 || int(kind) >= kinds {
		return true
	}
	t := r.tries[kind]
	rows := make([]*Row, 0, t.rows)
	t.root.all(func(row *Row) bool {
		rows = append(rows, row)
		return true
	})
	slices.SortFunc(rows, func(a, b *Row) int { return strings.Compare(a.Key, b.Key) })
	for _, row := range rows {
		if !yield(row) {
			return false
		}
	}
	return true
}

// all yields all rows in order of kind and key.
func (r *reader) all() iter.Seq[*Row] {
	return func(yield func(*Row) bool) {
		for kind := range r.tries {
			if !r.inOrder(argosyv1.RowKind(kind), yield) {
				return
			}
		}
	}
}

// outcomes yields the remembered outcomes in order of revision.
func (r *reader) outcomes() iter.Seq[*outcomes] {
	return func(yield func(*outcomes) bool) {
		for o := r.oldest; o != nil; o = o.next {
			if !yield(o) || o == r.newest {
				return
			}
		}
	}
}
