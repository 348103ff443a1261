package membership

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// joinFirst is the first delay of a joiner that has not reached a seed: nodes
	// that are started together shall find each other at once.
	joinFirst = 20 * time.Millisecond
	// joinLost is the first delay after a member was lost: it was given up after
	// seconds of silence, so that there is no hurry.
	joinLost = time.Second
	// joinConflict is the first delay after this node was taken for its former
	// process, which the others will not find dead before a second or two, and
	// joinConflictSlow the longest.
	joinConflict     = 200 * time.Millisecond
	joinConflictSlow = time.Second
	// joinSlow is the longest delay while a seed was not reached or this node is
	// alone, joinSlowest while members are only missing.
	joinSlow    = 5 * time.Second
	joinSlowest = 15 * time.Second
	// joinAtOnce is how many nodes are tried at the same time.
	joinAtOnce = 8
	// joinHelpers is how many peers are told the own address in a conflict.
	joinHelpers = 3
	// joinPatience is after how many failures in a row, about 1.3 s, a seed that
	// is not reached is worth a warning; joinReminder after how many more again.
	joinPatience = 6
	joinReminder = 60
)

// joiner brings this node together with the others and keeps it so. A round of
// it tries what is missing; rounds follow each other with growing delays until
// nothing is.
type joiner struct {
	directory *directory
	resolver  Resolver
	log       *slog.Logger
	role      Role
	seeds     []*seed
	// join exchanges what is known with the node at an address.
	join func(netip.AddrPort) error
	// trouble is told why seeds are not reached; may be nil.
	trouble *trouble

	// seenConflicts are the conflicts before the last round.
	seenConflicts int
}

// seed is a member to start from.
type seed struct {
	endpoint endpoint
	// reached tells whether it was reached once.
	reached bool
	// answered tells that one has answered who is not at any member's address: it
	// was about to start and told nothing of itself, or advertises another address.
	answered bool
	failures int
}

// run works until the context ends.
func (j *joiner) run(ctx context.Context) {
	changed, cancel := j.directory.watch()
	defer cancel()
	delay := joinFirst
	for {
		longest := j.round(ctx)
		delay = min(delay, longest)
		var next <-chan time.Time
		if longest > 0 {
			next = after(delay)
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-next:
				delay, waiting = 2*delay, false
			case <-changed:
				urgent := j.urgency(j.directory.survey())
				if urgent > 0 && (next == nil || urgent == joinFirst && delay > urgent) {
					delay = urgent
					next = after(delay)
				}
			}
		}
	}
}

// urgency returns the first delay after something came to be missing, 0 when
// nothing is. Only those that have returned do not wait for a round that is
// coming anyway.
func (j *joiner) urgency(now survey) time.Duration {
	switch {
	case len(now.returned) > 0:
		return joinFirst
	case now.ownConflicts > j.seenConflicts:
		return joinConflict
	case now.lost() > 0 || j.unreached(now):
		return joinLost
	default:
		return 0
	}
}

// after returns a timer with jitter, so that nodes that lost each other together
// do not all try at the same moments.
func after(delay time.Duration) <-chan time.Time {
	return time.After(delay*4/5 + rand.N(delay*2/5))
}

// round tries everything that is missing once. It returns the longest delay
// before the next round, 0 when nothing is missing.
func (j *joiner) round(ctx context.Context) time.Duration {
	before := j.directory.survey()
	conflict := before.ownConflicts > j.seenConflicts
	j.seenConflicts = before.ownConflicts
	j.directory.greeted(before.returned)

	attempts, ctx := errgroup.WithContext(ctx)
	attempts.SetLimit(joinAtOnce)
	for _, seed := range j.seeds {
		if !seed.reached || before.alone() || before.lost() > 0 {
			attempts.Go(func() error { j.trySeed(ctx, seed, before); return nil })
		}
	}
	for _, address := range j.missing(before, conflict) {
		attempts.Go(func() error {
			if err := j.join(address); err != nil {
				j.log.Debug("lost member not reached", "address", address.String(), "err", err)
			}
			return nil
		})
	}
	_ = attempts.Wait() // none returns an error

	now := j.directory.survey()
	switch {
	case now.ownConflicts > j.seenConflicts:
		return joinConflictSlow
	case j.unreached(now):
		return joinSlow
	case now.lost() > 0:
		return joinSlowest
	default:
		return 0
	}
}

// unreached tells whether a seed has never been reached, or none is there now.
func (j *joiner) unreached(now survey) bool {
	for _, seed := range j.seeds {
		if !seed.reached || now.alone() {
			return true
		}
	}
	return false
}

// missing returns the addresses of nodes to try beside the seeds. Agents are
// many and come and go: of lost ones a server tries one a round, an agent none.
//
// Nodes that have returned are among them, tried by servers: one that comes back
// soon is gossiped to as a dead one, defends itself, and so is known again,
// without knowing anybody. Without seeds that are up it would stay so until
// memberlist's next exchange with it, half a minute later or more.
func (j *joiner) missing(now survey, conflict bool) []netip.AddrPort {
	addresses := append([]netip.AddrPort(nil), now.lostServers...)
	if j.role == RoleServer {
		addresses = append(addresses, now.returned...)
		if len(now.lostAgents) > 0 {
			addresses = append(addresses, now.lostAgents[rand.IntN(len(now.lostAgents))])
		}
	}
	if conflict {
		addresses = append(addresses, now.peers[:min(len(now.peers), joinHelpers)]...)
	}
	return addresses
}

// trySeed tries all addresses of a seed that are not those of live members. Its
// own address is among those.
func (j *joiner) trySeed(ctx context.Context, seed *seed, now survey) {
	addresses, err := seed.endpoint.resolve(ctx, j.resolver)
	var failed error
	reached, again := false, false
	for _, address := range addresses {
		if _, ok := now.live[address]; ok {
			reached = true
			continue
		}
		if err := j.join(address); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if _, ok := j.directory.survey().live[address]; ok || seed.answered {
			reached = true
			continue
		}
		// Once more: a node listens a moment before it knows of itself.
		seed.answered, again = true, true
	}
	if again && !reached {
		return
	}
	if reached {
		if seed.failures >= joinPatience {
			j.log.Info("seed reached", "seed", seed.endpoint.String())
		}
		seed.reached, seed.failures = true, 0
		j.complain(seed, "")
		return
	}
	if err = errors.Join(err, failed); ctx.Err() != nil {
		return
	}
	why := explain(err)
	j.complain(seed, why)
	seed.failures++
	level := slog.LevelDebug
	if seed.failures%joinReminder == joinPatience {
		level = slog.LevelWarn
	}
	j.log.Log(ctx, level, "seed not reached, trying again: is it up, and has it the same cluster name and keyring?",
		"seed", seed.endpoint.String(), "failures", seed.failures, "why", why)
}

func (j *joiner) complain(seed *seed, why string) {
	if j.trouble != nil {
		j.trouble.set(seed.endpoint.String(), why)
	}
}
