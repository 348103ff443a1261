package fsm

import (
	"sync"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// OutcomeRef is the remembered answer to a write request.
type OutcomeRef struct {
	// Revision is that of the entry that carried the write out.
	Revision uint64
	// Principal is who asked.
	Principal string
	// Result is the encoded WriteResult. The caller owns it.
	Result []byte
}

// OutcomeBatch says what is remembered of one entry, for deciding what to
// forget.
type OutcomeBatch struct {
	// Revision is that of the entry.
	Revision uint64
	// ProposedAt is the leader's clock when it proposed the entry, Unix time
	// in nanoseconds.
	ProposedAt int64
	// Count is the number of outcomes.
	Count int
	// Bytes is about the memory that they take.
	Bytes int
}

// outcomes are the remembered outcomes of one entry, which come and go
// together: one row, one text for all of them and one slice that cuts it up.
type outcomes struct {
	revision   uint64
	proposedAt int64
	items      []outcomeText
	size       int
	digest     digest
	// next are those remembered after these, in any state that has them. It is
	// set once, and only looked at by whoever has a state with both.
	next *outcomes
}

type outcomeText struct{ id, principal, result string }

// perOutcome is about what an outcome takes beside its bytes: the slices and
// its place in the index.
const perOutcome = 96

// newOutcomes copies what is to be remembered out of the log's buffer.
func newOutcomes(revision uint64, proposedAt int64, decoded []outcome) *outcomes {
	size := 0
	for _, o := range decoded {
		size += len(o.id) + len(o.principal) + len(o.result)
	}
	text := make([]byte, 0, size)
	for _, o := range decoded {
		text = append(append(append(text, o.id...), o.principal...), o.result...)
	}
	rest := string(text)
	cut := func(n int) (part string) {
		part, rest = rest[:n], rest[n:]
		return part
	}
	made := &outcomes{
		revision:   revision,
		proposedAt: proposedAt,
		items:      make([]outcomeText, len(decoded)),
		size:       size + perOutcome*len(decoded),
	}
	for i, o := range decoded {
		made.items[i] = outcomeText{id: cut(len(o.id)), principal: cut(len(o.principal)), result: cut(len(o.result))}
	}
	return made
}

func (o *outcomes) ref(i int) OutcomeRef {
	item := o.items[i]
	return OutcomeRef{Revision: o.revision, Principal: item.principal, Result: []byte(item.result)}
}

func (o *outcomes) find(id string) (OutcomeRef, bool) {
	for i := len(o.items) - 1; i >= 0; i-- {
		if o.items[i].id == id {
			return o.ref(i), true
		}
	}
	return OutcomeRef{}, false
}

// record is the form of the outcomes in a snapshot.
func (o *outcomes) record() *argosyv1.SnapshotOutcomes {
	record := &argosyv1.SnapshotOutcomes{
		Revision:          o.revision,
		ProposedUnixNanos: o.proposedAt,
		Outcomes:          make([]*argosyv1.Outcome, len(o.items)),
	}
	for i, item := range o.items {
		record.Outcomes[i] = &argosyv1.Outcome{
			RequestId: []byte(item.id),
			Principal: item.principal,
			Result:    []byte(item.result),
		}
	}
	return record
}

// outcomeIndex finds outcomes by request id. Unlike the rows there is only one
// of it, of the newest state, because a tree over random keys would cost the
// write path more than all the rest. Views reach older states through it: what
// is too new for a view is seen by its revision, and how much was forgotten is
// written down, so that a view to which that matters looks through its rows.
type outcomeIndex struct {
	mu   sync.RWMutex
	byID map[string]outcomePlace
	// highest revision of which outcomes were forgotten
	forgotten uint64
}

type outcomePlace struct {
	of *outcomes
	at int
}

func newOutcomeIndex() *outcomeIndex {
	return &outcomeIndex{byID: make(map[string]outcomePlace)}
}

// update puts in the outcomes of one entry, which may be nil, and takes out
// those that it made forgotten. An id that is remembered twice is found with
// its later outcome. Outcomes without an id answer nobody.
func (x *outcomeIndex) update(added *outcomes, removed []*outcomes) {
	if added == nil && len(removed) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, o := range removed {
		for _, item := range o.items {
			if x.byID[item.id].of == o {
				delete(x.byID, item.id)
			}
		}
		x.forgotten = max(x.forgotten, o.revision)
	}
	if added != nil {
		for i, item := range added.items {
			if item.id != "" {
				x.byID[item.id] = outcomePlace{of: added, at: i}
			}
		}
	}
}

// find looks an id up. The second result is the highest revision of which
// outcomes were forgotten.
func (x *outcomeIndex) find(id []byte) (outcomePlace, uint64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.byID[string(id)], x.forgotten
}
