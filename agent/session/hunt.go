package session

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/argosy-cluster/argosy/agent/assignments"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const (
	// maxProspects bounds the servers that are asked.
	maxProspects = 64
	// quiet is how long a hunt may last before it is worth a line, tellEvery
	// how often it is told again.
	quiet     = time.Second
	tellEvery = 30 * time.Second
)

// prospect is a server that may lead.
type prospect struct {
	address string
	// conn is kept while the server answers.
	conn *grpc.ClientConn
	// due is when to ask it next, asked when it was asked last.
	due, asked time.Time
	asking     bool
	err        error
	// rests is until when it has asked to be left alone.
	rests time.Time
	// follows is the server that this one named as the leader. While that one is
	// asked there is nothing to be learned here.
	follows *prospect
}

// hunt is the search for one leader.
type hunt struct {
	session   *Session
	ctx       context.Context
	began     time.Time
	prospects []*prospect
	answers   chan answer
	asks      sync.WaitGroup
	hello     *argosyv1.AgentHello
	told      time.Time
	// hedging is set while only the most probable leader is asked, until hedge.
	hedging bool
	hedge   time.Time
	// lost is the leader whose session ended, while nobody has named another one.
	lost *prospect
	// term is the highest in which gossip named a leader so far.
	term uint64
}

// hunt finds the leader and opens a session with it. It fails only when the
// context ends.
func (s *Session) hunt(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithCancel(ctx)
	h := &hunt{
		session: s, ctx: ctx, began: time.Now(), term: s.term,
		// Room for an answer of each, so that no asker ever waits.
		answers: make(chan answer, maxProspects),
		hello:   s.hello(ctx),
	}
	winner, err := h.run()
	cancel()
	h.finish(winner)
	return winner, err
}

func (h *hunt) run() (*link, error) {
	h.refresh()
	h.prefer()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(h.launch())
		select {
		case <-h.ctx.Done():
			return nil, context.Cause(h.ctx)
		case <-timer.C:
			h.complain()
			if h.hedging && !time.Now().Before(h.hedge) {
				h.release()
			}
		case <-h.session.signal:
			h.refresh()
			h.gossip()
		case a := <-h.answers:
			if l := h.take(a); l != nil {
				return l, nil
			}
		}
	}
}

// refresh adds the servers that are known by now.
func (h *hunt) refresh() {
	for _, address := range h.session.Servers() {
		h.prospect(address)
	}
}

// prospect returns the one of the address, made when it is new; nil when there
// are too many.
func (h *hunt) prospect(address string) *prospect {
	if i := slices.IndexFunc(h.prospects, func(p *prospect) bool { return p.address == address }); i >= 0 {
		return h.prospects[i]
	}
	if address == "" || len(h.prospects) >= maxProspects {
		return nil
	}
	p := &prospect{address: address, due: time.Now()}
	h.prospects = append(h.prospects, p)
	return p
}

// prefer has the most probable leader asked alone for a moment.
func (h *hunt) prefer() {
	first, told := h.session.last, false
	if h.session.hint != "" {
		first, told = h.session.hint, true
	}
	if d := h.session.deps.Directory; d != nil {
		if address, term, ok := d.Leader(); ok && term > h.term {
			first, told, h.term = address, true, term
		}
	}
	favourite := h.prospect(first)
	if favourite == nil {
		return
	}
	if !told && h.session.deposed && h.session.deps.Directory != nil {
		// It leads no more, and nobody knows as yet who does.
		h.lost = favourite
		h.await()
		return
	}
	if told {
		favourite.due = h.began.Add(h.scatter())
	} else {
		h.lost = favourite
	}
	h.hedge = favourite.due.Add(h.session.cfg.Hedge)
	for _, p := range h.prospects {
		if p.address != first {
			p.due = h.hedge
			h.hedging = true
		}
	}
}

// release has all others asked now.
func (h *hunt) release() {
	h.hedging = false
	now := time.Now()
	for _, p := range h.prospects {
		if p.asked.IsZero() {
			p.due = now
		}
	}
}

// await leaves all alone until gossip tells of the next leader: the one that was
// lost is gone, or leads no more, and the others cannot know more as yet.
func (h *hunt) await() {
	until := time.Now().Add(h.session.cfg.AnnouncementWait)
	for _, p := range h.prospects {
		if p.asked.IsZero() || p == h.lost {
			p.due = until.Add(h.scatter())
		}
	}
	h.lost, h.hedging = nil, false
}

// scatter is this agent's part of the time over which all agents shall come.
func (h *hunt) scatter() time.Duration { return rand.N(h.session.cfg.Scatter + 1) }

// gossip has the leader asked soon of whom gossip has just told.
func (h *hunt) gossip() {
	address, term, ok := h.session.deps.Directory.Leader()
	if !ok || term <= h.term {
		return
	}
	h.term = term
	if h.lost != nil && h.lost.address != address {
		h.lost = nil
	}
	h.soon(address)
}

// soon has a server asked that is said to lead, within the time over which all
// agents come, and not in a tight loop.
func (h *hunt) soon(address string) {
	if p := h.prospect(address); p != nil {
		now := time.Now().Add(h.scatter())
		earliest := p.asked.Add(h.session.cfg.PaceMin / 2)
		if earliest.Before(now) {
			earliest = now
		}
		if earliest.Before(p.rests) {
			earliest = p.rests
		}
		if earliest.Before(p.due) {
			p.due = earliest
		}
	}
}

// launch asks all servers that are due and returns how long to wait for the
// next.
func (h *hunt) launch() time.Duration {
	now := time.Now()
	next := now.Add(h.session.cfg.PaceMax)
	for _, p := range h.prospects {
		switch {
		case p.asking:
		case !p.due.After(now):
			p.asking, p.asked = true, now
			h.asks.Go(func() { h.answers <- h.session.ask(h.ctx, p, h.hello) })
		case p.due.Before(next):
			next = p.due
		}
	}
	return next.Sub(now)
}

// take draws the conclusions from an answer; it returns the session if that is
// one.
func (h *hunt) take(a answer) *link {
	p := a.prospect
	p.asking, p.conn, p.err = false, a.conn, a.err
	p.due = time.Now().Add(h.pace())
	h.unfollow(p)
	defer func() {
		if h.hedging {
			h.release()
		}
	}()
	switch {
	case a.link != nil:
		p.conn = nil // The link's now.
		if err := h.session.deps.Assignments.Accept(a.link.welcome); err != nil {
			a.link.close(err)
			h.refused(p, err, errors.Is(err, assignments.ErrOtherCluster) || errors.Is(err, assignments.ErrLeftBehind))
			return nil
		}
		h.hedging = false
		return a.link
	case a.redirect != nil:
		p.err = errors.New("it does not lead and knows no leader")
		if address := a.redirect.GetLeaderAddress(); address != "" && address != p.address {
			p.err = errors.New("it names " + address + " as the leader")
			h.follow(p, address)
		}
	case p == h.lost && h.session.deps.Directory != nil && errors.Is(a.err, syscall.ECONNREFUSED):
		p.err = a.err
		h.await()
	default:
		h.refused(p, a.err, refusal(a.err))
		if e, ok := argosyv1.AsError(a.err); ok && e.Detail.GetRetryAfterMs() > 0 {
			// It leads, and has too much to do: the others would only send back here.
			h.rest(p, min(time.Duration(e.Detail.GetRetryAfterMs())*time.Millisecond, h.session.cfg.RefusedPace))
		}
	}
	return nil
}

// rest leaves a server alone for as long as it has asked for, and up to half as
// long again.
func (h *hunt) rest(p *prospect, wait time.Duration) {
	p.rests = time.Now().Add(wait + rand.N(wait/2+1))
	p.due = p.rests
}

// follow asks the leader that a server named, and leaves that server alone until
// the leader has answered: during a fail-over many agents that each ask again
// every few milliseconds would take from the new leader the time it needs to
// begin.
func (h *hunt) follow(p *prospect, leader string) {
	h.soon(leader)
	if named := h.prospect(leader); named != nil {
		p.follows = named
		p.due = time.Now().Add(max(h.pace(), h.session.cfg.FollowPace))
	}
}

// unfollow lets those be asked again that named a server which, as it turns out,
// does not lead.
func (h *hunt) unfollow(named *prospect) {
	again := time.Now().Add(h.pace())
	for _, p := range h.prospects {
		if p.follows == named {
			p.follows = nil
			if again.Before(p.due) {
				p.due = again
			}
		}
	}
}

// refused logs what must be known to somebody who could do something about it.
func (h *hunt) refused(p *prospect, err error, forGood bool) {
	p.err = err
	if forGood {
		p.due = time.Now().Add(h.session.cfg.RefusedPace)
		h.session.complain(p.address, slog.LevelError, "a server refused this agent", err)
		return
	}
	if _, own := argosyv1.AsError(err); own {
		h.session.complain(p.address, slog.LevelWarn, "a server did not accept this agent", err)
	}
}

// pace is how long to wait before the same server is asked again: a tenth of
// the time that the hunt has lasted, less some jitter.
func (h *hunt) pace() time.Duration {
	cfg := h.session.cfg
	d := min(max(time.Since(h.began)/10, cfg.PaceMin), cfg.PaceMax)
	return d/2 + rand.N(d/2+1)
}

// complain tells, now and then, why there is no session.
func (h *hunt) complain() {
	now := time.Now()
	if now.Sub(h.began) < quiet || !h.told.IsZero() && now.Sub(h.told) < tellEvery {
		return
	}
	h.told = now
	if len(h.prospects) == 0 {
		h.session.logger.Warn("no server is known; give --server or --join, or check that gossip reaches the servers")
		return
	}
	reasons := make([]string, 0, len(h.prospects))
	for _, p := range h.prospects {
		reason := "it has not answered yet"
		if p.err != nil {
			reason = p.err.Error()
		}
		reasons = append(reasons, p.address+": "+reason)
	}
	h.session.logger.Warn("no leader found yet; workloads go on running",
		"for", now.Sub(h.began).Round(time.Millisecond), "servers", strings.Join(reasons, "; "))
}

// finish waits for all askers and closes what none but the winner needs.
func (h *hunt) finish(winner *link) {
	h.asks.Wait()
	close(h.answers)
	for a := range h.answers {
		if a.link != nil {
			a.link.close(errMoved)
		}
		a.prospect.conn = a.conn
	}
	for _, p := range h.prospects {
		if p.conn != nil && (winner == nil || p.conn != winner.conn) {
			p.conn.Close()
		}
	}
}
