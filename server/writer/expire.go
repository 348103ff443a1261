package writer

import "time"

// maxExpire is how many entries' outcomes are forgotten by one entry at the
// most: the state machine deletes a row for each, and applies nothing else in
// the meantime.
const maxExpire = 512

// ages tells how old entries are at the least, by a clock that never jumps. The
// clocks in the entries themselves prove nothing: one that was set, or that of a
// leader that is wrong, would make young outcomes look old, and a request that
// is repeated would be carried out twice. So a leader forgets nothing that it has
// not seen grow old itself.
type ages struct{ marks []mark }

// mark says that the state had a revision at a time.
type mark struct {
	revision uint64
	at       time.Duration
}

func (a *ages) note(revision uint64, at time.Duration) {
	if n := len(a.marks); n == 0 || revision > a.marks[n-1].revision {
		a.marks = append(a.marks, mark{revision, at})
	}
}

// upTo returns up to which revision everything is older than age, 0 when
// nothing is.
func (a *ages) upTo(age, now time.Duration) uint64 {
	ripe := 0
	for ripe < len(a.marks) && now-a.marks[ripe].at >= age {
		ripe++
	}
	if ripe == 0 {
		return 0
	}
	a.marks = a.marks[ripe-1:]
	return a.marks[0].revision
}

// proposeTime is what the next entry is stamped with: the clock, but never less
// than the entry before.
func (w *Writer) proposeTime() time.Time {
	w.stamp = max(w.stamp, w.now().UnixNano())
	return time.Unix(0, w.stamp)
}

// age looks how old the outcomes have become, and has the old ones forgotten.
func (w *Writer) age() {
	now := w.uptime()
	w.ages.note(w.working.view.Revision(), now)
	w.expireUpTo(w.ages.upTo(w.cfg.OutcomeAge, now))
}

// expireUpTo proposes to forget the outcomes of entries up to a revision.
func (w *Writer) expireUpTo(revision uint64) {
	if _, any := w.working.old(revision); !any {
		return
	}
	w.Submit(&Request{
		Change: func(c *Working) error {
			if upTo, any := c.old(revision); any {
				c.expire(upTo)
			}
			return nil
		},
		Done: func(o Outcome) {
			// Called by Run's goroutine.
			if o.Err == nil {
				w.expireUpTo(revision)
			}
		},
	})
}

// old returns which outcomes up to a revision are to be forgotten next.
func (c *Working) old(revision uint64) (upTo uint64, any bool) {
	entries := 0
	for o := range c.view.Outcomes() {
		if o.Revision > revision || entries == maxExpire {
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
