package fsm

import (
	"strings"
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
// together: one row, one text for all of them and one slice that says where to
// cut it. There are tens of thousands of them, and the collector of garbage
// need not look at what has no pointers.
type outcomes struct {
	revision   uint64
	proposedAt int64
	text       string
	items      []outcomeEnds
	size       int
	digest     digest
	// next are those remembered after these, in any state that has them. It is
	// set once, and only looked at by whoever has a state with both.
	next *outcomes
}

// outcomeEnds says where in the text the parts of an outcome end. It begins
// where the one before it ends.
type outcomeEnds struct{ id, principal, result uint32 }

type outcomeText struct{ id, principal, result string }

// perOutcome is about what an outcome takes beside its bytes: its ends and its
// place in the index.
const perOutcome = 96

// newOutcomes copies what is to be remembered out of the log's buffer.
func newOutcomes(revision uint64, proposedAt int64, decoded []outcome) *outcomes {
	size := 0
	for _, o := range decoded {
		size += len(o.id) + len(o.principal) + len(o.result)
	}
	made := &outcomes{
		revision:   revision,
		proposedAt: proposedAt,
		items:      make([]outcomeEnds, len(decoded)),
		size:       size + perOutcome*len(decoded),
	}
	var text strings.Builder
	text.Grow(size)
	write := func(part []byte) uint32 {
		text.Write(part)
		return uint32(text.Len())
	}
	for i, o := range decoded {
		made.items[i] = outcomeEnds{id: write(o.id), principal: write(o.principal), result: write(o.result)}
	}
	made.text = text.String()
	return made
}

func (o *outcomes) at(i int) outcomeText {
	begin, ends := uint32(0), o.items[i]
	if i > 0 {
		begin = o.items[i-1].result
	}
	return outcomeText{id: o.text[begin:ends.id], principal: o.text[ends.id:ends.principal], result: o.text[ends.principal:ends.result]}
}

func (o *outcomes) ref(i int) OutcomeRef {
	item := o.at(i)
	return OutcomeRef{Revision: o.revision, Principal: item.principal, Result: []byte(item.result)}
}

func (o *outcomes) find(id string) (OutcomeRef, bool) {
	for i := len(o.items) - 1; i >= 0; i-- {
		if o.at(i).id == id {
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
	for i := range o.items {
		item := o.at(i)
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
	mu sync.RWMutex
	// byID has the ids of the usual length, by value: that is one memory access
	// less for each, and nothing for the collector of garbage. others has the rest.
	byID   map[usualID]outcomePlace
	others map[string]outcomePlace
	// highest revision of which outcomes were forgotten
	forgotten uint64
}

// usualID is an id of the length that clients choose.
type usualID [16]byte

type outcomePlace struct {
	of *outcomes
	at int
}

func newOutcomeIndex() *outcomeIndex {
	return &outcomeIndex{byID: make(map[usualID]outcomePlace), others: make(map[string]outcomePlace)}
}

func (x *outcomeIndex) get(id string) outcomePlace {
	if len(id) == len(usualID{}) {
		return x.byID[usualID([]byte(id))]
	}
	return x.others[id]
}

func (x *outcomeIndex) set(id string, place outcomePlace) {
	if len(id) == len(usualID{}) {
		x.byID[usualID([]byte(id))] = place
	} else {
		x.others[id] = place
	}
}

func (x *outcomeIndex) delete(id string) {
	if len(id) == len(usualID{}) {
		delete(x.byID, usualID([]byte(id)))
	} else {
		delete(x.others, id)
	}
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
		for i := range o.items {
			if id := o.at(i).id; x.get(id).of == o {
				x.delete(id)
			}
		}
		x.forgotten = max(x.forgotten, o.revision)
	}
	if added != nil {
		for i := range added.items {
			if id := added.at(i).id; id != "" {
				x.set(id, outcomePlace{of: added, at: i})
			}
		}
	}
}

// find looks an id up. The second result is the highest revision of which
// outcomes were forgotten.
func (x *outcomeIndex) find(id []byte) (outcomePlace, uint64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.get(string(id)), x.forgotten
}
