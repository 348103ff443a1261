package writer

import (
	"errors"
	"fmt"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// batch is one entry of the log in the making or in flight, and the requests
// that it answers.
type batch struct {
	proposed time.Time
	items    []*item
	// records are encoded mutations, in order.
	records  [][]byte
	size     int
	outcomes int
	keys     []rowKey
	// grown is by how many bytes the batch makes the state larger.
	grown   int
	pending Pending
	// sent is when the entry was handed to the log, by the clock of this process.
	sent time.Time
	// parked are requests that build on a revision that may be that of the batch;
	// they are judged when it is committed.
	parked []*Request
	// revision is set when the batch is committed, before is what the writer had
	// heard of until then.
	revision, before uint64
}

// item is one request of a batch and what it will be answered.
type item struct {
	request *Request
	result  *argosyv1.WriteResult
	// resultSize is proto.Size of result.
	resultSize int
	// remembered tells that the entry holds the outcome.
	remembered bool
	// dry tells that the request was only judged.
	dry bool
	// unrecorded tells that the refusal is to be recorded before it is answered.
	unrecorded bool
	// refusal is why the request was refused, nil when it was not, or when result
	// tells of it.
	refusal *refusal
	// repeats are requests of the same id that came while this one was in flight.
	repeats []*Request
}

func (b *batch) append(record []byte) {
	b.records = append(b.records, record)
	b.size += len(record)
}

// empty tells whether there is nothing to propose.
func (b *batch) empty() bool { return len(b.records) == 0 && b.outcomes == 0 }

func (b *batch) encode() []byte {
	size := b.size + 16
	for _, it := range b.items {
		if it.remembered {
			size += sizeBytesField(fieldEntryOutcomes, sizeOutcome(it.request.Principal, it.resultSize))
		}
	}
	entry := make([]byte, 0, size)
	for _, record := range b.records {
		entry = append(entry, record...)
	}
	for _, it := range b.items {
		if it.remembered {
			// Encoding a WriteResult fails only on invalid UTF-8, and its texts come
			// from names that were checked.
			entry, _ = appendOutcome(entry, it.request.requestID[:], it.request.Principal, it.result, it.resultSize)
		}
	}
	return appendProposed(entry, b.proposed.UnixNano())
}

// answer tells every request how it ended, once the batch is committed. It
// returns those that it left out because their refusals are not recorded yet.
func (b *batch) answer() (unrecorded []*item) {
	for _, it := range b.items {
		if it.unrecorded {
			unrecorded = append(unrecorded, it)
			continue
		}
		if it.refusal != nil {
			it.request.answer(Outcome{Err: it.refusal.settle()})
			continue
		}
		if it.dry {
			// What else is in the entry may have come after it: who builds on the
			// answer must not believe that it had seen that.
			it.request.answer(Outcome{Revision: b.before, Result: it.result})
			continue
		}
		o := outcomeOf(b.revision, it.result)
		it.request.answer(o)
		o.Replayed = o.Err == nil
		for _, r := range it.repeats {
			r.answer(o)
		}
	}
	return unrecorded
}

// abandon answers every request of a batch that was not committed as far as
// this server knows.
func (b *batch) abandon(cause error) {
	fate := fmt.Errorf("%w: leadership ended while the write was in flight: %v", ErrFateUnknown, cause)
	select {
	case <-b.pending.Done():
		if _, err := b.pending.Result(); errors.Is(err, ErrNotDone) {
			fate = err
		}
	default:
	}
	for _, it := range b.items {
		// These change nothing, whatever becomes of the batch.
		if it.refusal != nil || it.dry {
			it.request.answer(Outcome{Err: notDone(cause)})
			continue
		}
		it.request.answer(Outcome{Err: fate})
		for _, r := range it.repeats {
			r.answer(Outcome{Err: fate})
		}
	}
}

// presume answers the requests of a batch that was proposed just now, with the
// revision that it should get.
func (w *Writer) presume(b *batch) {
	if w.working.view.Revision() == w.ages.marks[0].revision {
		return // nothing of this leadership is committed: there is nothing to count from
	}
	revision := w.working.view.Revision() + 1
	for _, before := range w.flight {
		if !before.empty() {
			revision++
		}
	}
	for _, it := range b.items {
		if it.refusal == nil && it.remembered && it.result.GetRefusal() == nil {
			it.request.answer(Outcome{Revision: revision, Result: it.result})
			it.request.Done = func(Outcome) {}
		}
	}
}
