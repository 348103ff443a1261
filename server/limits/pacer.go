package limits

import "time"

// How connections are paced: so many in a row, then a moment for those who are
// there already.
const (
	burst  = 32
	breath = time.Millisecond
	// late is how much longer than that the moment may last on a server that keeps
	// up.
	late = 5 * time.Millisecond
	// longest bounds one pause.
	longest = 250 * time.Millisecond
)

// pacer slows one goroutine down when the process has more to do than it can. It
// finds that out as everybody else does who needs a turn of the processor: it
// sleeps for a moment, and looks how much later it was woken. Thousands of
// connections at once would otherwise make Raft's heartbeats wait behind the
// set-up of all of them, lose the leader, and with it every session that had
// just begun.
type pacer struct {
	inRow int
	sleep func(time.Duration)
	now   func() time.Time
}

func newPacer() *pacer { return &pacer{sleep: time.Sleep, now: time.Now} }

// next is called before each piece of work.
func (p *pacer) next() {
	if p.inRow++; p.inRow < burst {
		return
	}
	p.inRow = 0
	began := p.now()
	p.sleep(breath)
	if over := p.now().Sub(began) - breath; over > late {
		p.sleep(min(over, longest))
	}
}
