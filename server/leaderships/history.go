package leaderships

import (
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
)

// history is the pure part: who led when, from one look at it to the next.
type history struct {
	limit   int
	records []*argosyv1.Leadership
	// counts are the ends that were seen, by their reason.
	counts map[argosyv1.LeadershipEnd]uint64
	// counted is whether the end of the last record is in counts.
	counted bool
	// read tells that the last record is from before this process.
	read bool
}

// observer is what a look is made with.
type observer struct {
	now    time.Time
	ending func(term uint64, leader string) consensus.Ending
	name   func(id string) string
}

// observe takes in who leads now, and returns whether that is news.
func (h *history) observe(at consensus.Leadership, o observer) bool {
	last := h.last()
	if last != nil && at.LeaderID == last.GetServerId() && at.Term == last.GetTerm() {
		if h.read {
			// It goes on, whatever the file says.
			h.read, h.counted = false, false
		}
		return h.resume(last, o)
	}
	changed := false
	if last != nil {
		changed = h.end(last, o)
	}
	if at.LeaderID == "" || last != nil && at.Term < last.GetTerm() {
		return changed
	}
	h.count(last)
	h.records = append(h.records, &argosyv1.Leadership{
		Term: at.Term, ServerId: at.LeaderID, ServerName: o.name(at.LeaderID), BeganUnixNanos: o.now.UnixNano(),
	})
	h.counted, h.read = false, false
	if over := len(h.records) - h.limit; over > 0 {
		h.records = append([]*argosyv1.Leadership(nil), h.records[over:]...)
	}
	return true
}

func (h *history) last() *argosyv1.Leadership {
	if len(h.records) == 0 {
		return nil
	}
	return h.records[len(h.records)-1]
}

// resume takes back an end: the leader was heard again in the same term. Its name
// may have become known, too.
func (h *history) resume(last *argosyv1.Leadership, o observer) bool {
	changed := false
	if last.GetEndedUnixNanos() != 0 && !h.counted {
		last.EndedUnixNanos, last.End, last.Reason = 0, argosyv1.LeadershipEnd_LEADERSHIP_END_UNSPECIFIED, ""
		changed = true
	}
	if last.GetServerName() == "" {
		if last.ServerName = o.name(last.GetServerId()); last.GetServerName() != "" {
			changed = true
		}
	}
	return changed
}

// end ends the last leadership, or learns why it has ended.
func (h *history) end(last *argosyv1.Leadership, o observer) bool {
	if h.counted || last.GetEndedUnixNanos() != 0 && last.GetEnd() != argosyv1.LeadershipEnd_LEADERSHIP_END_UNSPECIFIED {
		return false
	}
	before := last.GetEndedUnixNanos()
	if before == 0 {
		last.EndedUnixNanos = o.now.UnixNano()
	}
	ending := o.ending(last.GetTerm(), last.GetServerId())
	if h.read {
		ending = consensus.Ending{Reason: "it ended while this server was not running"}
	}
	last.End, last.Reason = ending.End, ending.Reason
	return before == 0 || ending.End != argosyv1.LeadershipEnd_LEADERSHIP_END_UNSPECIFIED
}

// count counts the end of a leadership, once its successor is known: until then
// the reason may still be learned.
func (h *history) count(last *argosyv1.Leadership) {
	if last != nil && !h.counted {
		h.counts[last.GetEnd()]++
		h.counted = true
	}
}
