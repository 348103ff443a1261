package writer

import (
	"strings"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"google.golang.org/protobuf/proto"
)

// A refusal is the end of a request only when no other copy of it is under way.
// Whoever knows of one, of which nobody has told what became, says that the
// request is a repeat. Should it be refused, then the refusal is put into the
// state before it is answered, where results are remembered: whatever leader
// comes upon the other copy finds it there, as it would find a result.
//
// That is an entry and a round of the log more, and for nobody else: who has no
// other copy is refused as fast as before, and a write that passes is remembered
// anyway.

// record puts refusals into the batch that were found true when the batch before
// was committed.
func (w *Writer) record(b *batch) {
	unrecorded := w.unrecorded
	w.unrecorded = nil
	for _, it := range unrecorded {
		if w.repeated(it.request) {
			// Another repeat was refused, too, or came by a leader that let it pass.
			continue
		}
		reason := it.refusal.settle()
		e, ok := argosyv1.AsError(reason)
		if !ok {
			it.request.answer(Outcome{Err: reason})
			continue
		}
		detail := proto.CloneOf(e.Detail)
		detail.Recorded = true
		recorded := &item{request: it.request, remembered: true, result: &argosyv1.WriteResult{
			Refusal: &argosyv1.Refusal{Detail: detail, Message: strings.ToValidUTF8(e.Message, "\uFFFD")},
		}}
		recorded.resultSize = proto.Size(recorded.result)
		b.outcomes++
		b.items = append(b.items, recorded)
		w.working.requests[it.request.requestID] = recorded
	}
}

// outcomeOf is the outcome of a request that is remembered with a result.
func outcomeOf(revision uint64, result *argosyv1.WriteResult) Outcome {
	if refusal := result.GetRefusal(); refusal != nil {
		return Outcome{Err: &argosyv1.Error{Detail: refusal.GetDetail(), Message: refusal.GetMessage()}}
	}
	return Outcome{Revision: revision, Result: result}
}
