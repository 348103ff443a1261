package writer

// mostRefusals is how many refusals are remembered: at thousands a second those
// of a few seconds, far longer than two copies of one request are apart.
const mostRefusals = 16_384

// refusals remembers who was refused during this leadership. A client that hears
// nothing for a moment asks another server beside the first, with the same
// request id, and so does a server that forwards. When one copy has been refused,
// its client believes that nothing was done, and may never be wrong in that: the
// other copy, which comes later and might pass, is refused like the first.
//
// Only this leader remembers, and for a while: a copy that the next one gets is
// judged anew. That is enough for copies whose senders all wait for what comes of
// them, as those of a client that asks two servers at once. Of whoever has tried
// before and never heard, refusals are recorded (see record).
type refusals struct {
	by map[[RequestIDLength]byte]*refusal
	// ring are the ids in the order in which they came; next is the oldest.
	ring [][RequestIDLength]byte
	next int
}

type refusal struct {
	principal string
	why       refuse
}

// note remembers a refusal.
func (f *refusals) note(r *Request, why refuse) *refusal {
	if f.by == nil {
		f.by = map[[RequestIDLength]byte]*refusal{}
	}
	if len(f.ring) < mostRefusals {
		f.ring = append(f.ring, r.requestID)
	} else {
		delete(f.by, f.ring[f.next])
		f.ring[f.next] = r.requestID
		f.next = (f.next + 1) % mostRefusals
	}
	noted := &refusal{principal: r.Principal, why: why}
	f.by[r.requestID] = noted
	return noted
}

// settle returns why somebody was refused, and lets go of what that was found out
// by: the reason may have had to wait for the revision of an entry in flight.
func (f *refusal) settle() error {
	err := f.why()
	f.why = func() error { return err }
	return err
}

// refusedBefore refuses a request of which another copy was refused. It is
// answered with its batch, as any other refusal: only a leader refuses.
func (w *Writer) refusedBefore(b *batch, r *Request) bool {
	before, ok := w.refusals.by[r.requestID]
	if !ok {
		return false
	}
	if before.principal != r.Principal {
		r.answer(Outcome{Err: otherPrincipal()})
		return true
	}
	b.items = append(b.items, &item{request: r, refusal: before, unrecorded: w.working.records && r.repeats()})
	return true
}
