package writer

import "time"

// maxExpire is how many entries' outcomes are forgotten by one entry at the
// most: the state machine deletes a row for each, and applies nothing else in
// the meantime.
const maxExpire = 512

// expireOld proposes to forget outcomes that are old enough.
func (w *Writer) expireOld() {
	if _, more := w.working.old(w.now().Add(-w.cfg.OutcomeAge)); !more {
		return
	}
	w.Submit(&Request{
		Change: func(c *Working) error {
			if upTo, any := c.old(w.now().Add(-w.cfg.OutcomeAge)); any {
				c.expire(upTo)
			}
			return nil
		},
		Done: func(o Outcome) {
			// Called by Run's goroutine.
			if o.Err == nil {
				w.expireOld()
			}
		},
	})
}

// old returns up to which revision outcomes are from before a time.
func (c *Working) old(before time.Time) (upTo uint64, any bool) {
	entries := 0
	for o := range c.view.Outcomes() {
		if o.ProposedAt >= before.UnixNano() || entries == maxExpire {
			break
		}
		if o.Revision <= c.expired {
			continue
		}
		upTo, any = o.Revision, true
		entries++
	}
	return upTo, any
}

// limitOutcomes makes the batch forget the oldest outcomes when too many are
// remembered. Each batch pays for about as many as it adds.
func (w *Writer) limitOutcomes(b *batch) {
	c := w.working
	count, bytes, _, _ := c.view.OutcomeStats()
	if b.empty() || (count <= w.cfg.MaxOutcomes && bytes <= w.cfg.MaxOutcomeBytes) {
		return
	}
	upTo, entries := uint64(0), 0
	for o := range c.view.Outcomes() {
		if o.Revision > c.expired {
			if (count <= w.cfg.MaxOutcomes && bytes <= w.cfg.MaxOutcomeBytes) || entries == maxExpire {
				break
			}
			upTo = o.Revision
			entries++
		}
		count -= o.Count
		bytes -= o.Bytes
	}
	if upTo > 0 {
		c.expire(upTo)
	}
}

func (c *Working) expire(upTo uint64) {
	c.current.append(encodeExpire(upTo))
	c.expired = upTo
}
