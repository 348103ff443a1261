package consensus

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// subject is what the vigil needs of Raft.
type subject interface {
	// standing returns the server's place at the moment.
	standing() standing
	// lastEntry returns how far the server's log reaches.
	lastEntry() entryID
	// stalled reports whether the server's disk does not answer.
	stalled() bool
	// changes returns a channel that gets a value after each change of leader,
	// state or term, and a function that ends this.
	changes() (<-chan struct{}, func())
	// campaign makes the server a candidate that others vote for even though
	// they have a leader, unless wanted says no when it would happen.
	campaign(ctx context.Context, wanted func() bool) error
}

// vigil finds a dead leader by evidence, long before Raft's timers would.
//
// Raft is safe whoever campaigns, and whenever. All that evidence must be is
// right most of the time, since a campaign against a live leader costs a pause
// of some milliseconds. There are two kinds:
//
//   - The process is gone: a connection that the leader had opened breaks, and
//     a new one to its address is refused, which only the kernel of a machine
//     does where nothing listens any more.
//   - Silence that a majority agrees on: this server has not heard from the
//     leader for some time, and enough others have not heard from the same
//     leader either. A server that is cut off alone finds nobody to agree and
//     disturbs nobody.
//
// Survivors go one after the other, by their rank in the configuration, and
// stop as soon as somebody leads.
type vigil struct {
	self    string
	timing  Timing
	raft    subject
	contact func(ctx context.Context, serverID string, request *argosyv1.ContactRequest) (*argosyv1.ContactResponse, error)
	probe   func(ctx context.Context, address string) error
	realm   func() realm
	log     *slog.Logger
	// accuse notes why a leadership is taken to have ended.
	accuse func(term uint64, end argosyv1.LeadershipEnd, format string, args ...any)

	broken  chan string // ids of servers whose connection broke
	founded chan struct{}
	ballots *ballots
	pulse   *pulse
	led     standing // when somebody was last known to lead

	mu     sync.Mutex
	counts map[Cause]uint64
}

func newVigil(self string, timing Timing, log *slog.Logger) *vigil {
	return &vigil{
		self:    self,
		timing:  timing,
		log:     log,
		accuse:  func(uint64, argosyv1.LeadershipEnd, string, ...any) {},
		broken:  make(chan string, 16),
		founded: make(chan struct{}, 1),
		ballots: &ballots{changed: make(chan struct{}, 1)},
		pulse:   &pulse{tolerance: timing.Silence / 4, allowance: timing.Silence / 2},
		counts:  make(map[Cause]uint64),
	}
}

// lost takes the news that a connection from a server broke.
func (v *vigil) lost(peer string) {
	select {
	case v.broken <- peer:
	default: // the others that broke at the same time say enough
	}
}

// found takes the news that the cluster was just made.
func (v *vigil) found() {
	select {
	case v.founded <- struct{}{}:
	default:
	}
}

// campaigns returns how often this server campaigned, by cause.
func (v *vigil) campaigns() map[Cause]uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	counts := make(map[Cause]uint64, len(v.counts))
	for cause, n := range v.counts {
		counts[cause] = n
	}
	return counts
}

// answer tells another server how long this one has not heard from its leader.
func (v *vigil) answer(now time.Time) *argosyv1.ContactResponse {
	at := v.raft.standing()
	return &argosyv1.ContactResponse{
		LeaderId: at.leader,
		Term:     at.term,
		SilentMs: uint64(v.pulse.silence(now, at.heard) / time.Millisecond),
		Follower: at.state == raft.Follower,
	}
}

// run watches until the context ends.
func (v *vigil) run(ctx context.Context) {
	v.pulse.mu.Lock()
	v.pulse.since = time.Now()
	v.pulse.mu.Unlock()
	if at := v.raft.standing(); len(at.voters) == 1 && at.electable(v.self) {
		v.compete(ctx, CauseAlone, at, 0)
	}
	patience := patience{least: v.timing.Stagger, most: 10 * v.timing.Silence}
	changes, cancel := v.raft.changes()
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		at := v.raft.standing()
		if at.leader != "" {
			v.led = at
		}
		wait := v.untilSuspicion(at, &patience)
		timer.Reset(wait)
		v.pulse.expect(time.Now().Add(wait))
		select {
		case <-ctx.Done():
			return
		case <-changes:
			v.pulse.awake(time.Now())
		case peer := <-v.broken:
			v.pulse.awake(time.Now())
			v.mourn(ctx, peer)
		case <-v.founded:
			v.pulse.awake(time.Now())
			at := v.raft.standing()
			v.compete(ctx, CauseFounding, at, at.rank(v.self, ""))
		case <-v.ballots.changed:
			v.pulse.awake(time.Now())
			v.overtake(ctx)
		case <-timer.C:
			if v.pulse.awake(time.Now()) {
				continue
			}
			v.suspect(ctx, &patience)
		}
	}
}

// patience makes a server that nobody agrees with ask less and less often,
// until it hears from a leader again.
type patience struct {
	least, most time.Duration
	wait        time.Duration
	until       time.Time
	heard       time.Time
}

func (p *patience) refused(now, heard time.Time) {
	p.wait = min(max(2*p.wait, p.least), p.most)
	p.until = now.Add(p.wait)
	p.heard = heard
}

func (p *patience) left(now, heard time.Time) time.Duration {
	if !heard.Equal(p.heard) {
		p.wait, p.until = 0, time.Time{}
	}
	return p.until.Sub(now)
}

// untilSuspicion returns how long to sleep before silence may mean something.
func (v *vigil) untilSuspicion(at standing, patience *patience) time.Duration {
	if at.state != raft.Follower || !at.electable(v.self) || len(at.voters) < 2 {
		return v.timing.Silence
	}
	now := time.Now()
	limit := v.timing.Silence + time.Duration(at.rank(v.self, at.leader))*v.timing.Stagger
	return max(limit-v.pulse.silence(now, at.heard), patience.left(now, at.heard), time.Millisecond)
}

// suspect asks the others when the leader has been silent for too long.
func (v *vigil) suspect(ctx context.Context, patience *patience) {
	at := v.raft.standing()
	if at.state != raft.Follower || !at.electable(v.self) || v.contact == nil || v.raft.stalled() {
		return
	}
	if v.untilSuspicion(at, patience) > time.Millisecond {
		return
	}
	// A heartbeat may be waiting in the socket behind this very timer.
	if !v.sleep(ctx, v.timing.Silence/20) {
		return
	}
	again := v.raft.standing()
	if !again.heard.Equal(at.heard) || again.term != at.term || again.leader != at.leader || again.state != raft.Follower {
		return
	}
	if !v.agreed(ctx, at) {
		patience.refused(time.Now(), at.heard)
		return
	}
	again = v.raft.standing()
	if !again.heard.Equal(at.heard) || again.term != at.term || again.led(at) {
		return
	}
	v.accuse(at.term, argosyv1.LeadershipEnd_LEADERSHIP_END_LEADER_SILENT, "a majority had not heard it for %v", v.timing.Silence*7/10)
	v.compete(ctx, CauseSilence, at, 0)
}

// agreed asks the other voters at once, and returns true as soon as a majority
// agrees, self included.
func (v *vigil) agreed(ctx context.Context, at standing) bool {
	if planted.On(planted.LoneAccuser) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, v.timing.Silence/2)
	defer cancel()
	answers := make(chan bool, len(at.voters))
	asked := 0
	for _, id := range at.voters {
		if id == v.self {
			continue
		}
		asked++
		own := v.realm()
		go func() {
			answer, err := v.contact(ctx, id, &argosyv1.ContactRequest{
				Handshake: &argosyv1.PeerHandshake{ClusterId: own.cluster, Incarnation: own.incarnation, ServerId: v.self, Protocol: argosyv1.SupportedProtocol()},
				LeaderId:  at.leader,
				Term:      at.term,
			})
			answers <- err == nil && consents(id, answer, at.leader, at.term, v.timing.Silence*7/10)
		}()
	}
	yes := 1
	for ; asked > 0 && yes < at.quorum(); asked-- {
		select {
		case agrees := <-answers:
			if agrees {
				yes++
			}
		case <-ctx.Done():
			return false
		}
	}
	return yes >= at.quorum()
}

// mourn looks whether the process of a server whose connection broke is gone,
// and campaigns if it led.
func (v *vigil) mourn(ctx context.Context, peer string) {
	at := v.raft.standing()
	if at.leader != peer || at.state != raft.Follower || !at.electable(v.self) {
		return
	}
	began := time.Now()
	const pause = 2 * time.Millisecond
	for range 15 {
		// The kernel may cut a dead process's connections a little before it
		// closes its listener.
		err := v.probe(ctx, at.leaderAddress)
		if errors.Is(err, syscall.ECONNREFUSED) {
			v.accuse(at.term, argosyv1.LeadershipEnd_LEADERSHIP_END_LEADER_GONE, "its process was gone: nothing listens at %s", at.leaderAddress)
			v.log.Info("leader's process is gone", "leader", peer, "address", at.leaderAddress, "term", at.term, "after", time.Since(began))
			v.compete(ctx, CauseLeaderGone, at, at.rank(v.self, peer))
			return
		}
		if err != nil || !v.sleep(ctx, pause) {
			return
		}
		now := v.raft.standing()
		// What the leader sent before it died may still be taken in for a
		// moment: only what was heard after that is a sign of life.
		if now.led(at) || now.term != at.term || now.heard.After(began.Add(5*pause)) {
			return
		}
	}
}

// overtake campaigns when another server does and cannot win. Its request has
// ended the term for this server, and nobody leads until somebody does better.
func (v *vigil) overtake(ctx context.Context) {
	ballot, at := v.ballots.newest(), v.raft.standing()
	switch {
	case at.state != raft.Follower || !at.electable(v.self):
		return
	case !v.pulse.rested(time.Now(), v.timing.Silence):
		return // an old one, most likely: its election was decided long ago
	case ballot.term < at.term || ballot.term == at.term && at.leader != "":
		return // decided
	case at.leader != "" && !ballot.regardless:
		return // Raft does not even look at it
	}
	if at.leader == "" {
		at.leader, at.leaderAddress = v.led.leader, v.led.leaderAddress
	}
	if at.decides(v.self, at.leader) && ballot.last.olderThan(v.raft.lastEntry()) {
		v.compete(ctx, CauseAhead, at, 0)
	}
}

// compete campaigns when it is this server's turn, and again if that was not
// enough, until somebody leads. After a few attempts it leaves the matter to
// Raft's timers: where there is no quorum, no evidence makes one.
func (v *vigil) compete(ctx context.Context, cause Cause, at standing, rank int) {
	const attempts = 4
	changes, cancel := v.raft.changes()
	defer cancel()
	began := time.Now()
	seen := v.ballots.newest()
	turn := time.Duration(rank) * v.timing.Stagger
	for attempt := range attempts {
		if !v.turn(ctx, turn, at, changes, &seen) {
			return
		}
		now := v.raft.standing()
		if now.led(at) || !now.electable(v.self) || v.raft.stalled() {
			return
		}
		if now.term == at.term && now.heard.After(began.Add(v.timing.Silence/5)) {
			return // the accused was heard again
		}
		err := v.raft.campaign(ctx, func() bool {
			return v.ballots.newest().number == seen.number && !v.raft.standing().led(at)
		})
		if err == nil {
			v.mu.Lock()
			v.counts[cause]++
			v.mu.Unlock()
			v.log.Info("campaigned", "cause", string(cause), "accused", at.leader, "term", now.term, "rank", rank, "attempt", attempt+1, "after", time.Since(began))
		} else if !errors.Is(err, errUnwanted) {
			v.log.Debug("failed to campaign", "cause", string(cause), "error", err)
		}
		// Ever more time for the votes: on a slow disk they may be on the way.
		turn = v.timing.Stagger*time.Duration(3+rank)/2<<attempt + v.timing.Stagger/5
	}
}

// turn waits for this server's turn, and returns false when somebody leads by
// then. A candidate is given time to win, unless it cannot: when it needs this
// server's vote and will not get it, since its log is older, it is this
// server's turn at once.
func (v *vigil) turn(ctx context.Context, wait time.Duration, at standing, changes <-chan struct{}, seen *ballot) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-changes:
			if v.raft.standing().led(at) {
				return false
			}
		case <-v.ballots.changed:
			newest := v.ballots.newest()
			if newest.number == seen.number {
				continue
			}
			*seen = newest
			if at.decides(v.self, at.leader) && newest.last.olderThan(v.raft.lastEntry()) {
				return true
			}
			timer.Reset(v.timing.Stagger * 3 / 2)
		}
	}
}

func (v *vigil) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ballots remembers the newest request for this server's vote.
type ballots struct {
	changed chan struct{}

	mu   sync.Mutex
	last ballot
}

type ballot struct {
	number     uint64 // of ballots seen
	term       uint64
	last       entryID // of the candidate's log
	regardless bool    // of whether the voter has a leader
}

func (b *ballots) note(request *raft.RequestVoteRequest) {
	b.mu.Lock()
	b.last = ballot{
		number:     b.last.number + 1,
		term:       request.Term,
		last:       entryID{term: request.LastLogTerm, index: request.LastLogIndex},
		regardless: request.LeadershipTransfer,
	}
	b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

func (b *ballots) newest() ballot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}
