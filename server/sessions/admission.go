package sessions

import (
	"context"
	"math/rand/v2"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// admission lets few sessions at a time do what costs the leader time: to begin,
// and to report everything. When thousands of agents come at once, those that
// wait here cost nothing, where thousands that all run would make everybody else
// wait for a turn of the processor, Raft's heartbeats included.
type admission struct {
	slots chan struct{}
	wait  time.Duration
}

func newAdmission(cfg Config) *admission {
	return &admission{slots: make(chan struct{}, cfg.BeginAtOnce), wait: cfg.BeginWait}
}

// enter waits for a turn, for as long as ctx lasts. Whoever was first is first.
func (a *admission) enter(ctx context.Context) error {
	select {
	case a.slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case a.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// enterSoon is enter for one that would rather come back than wait for long.
func (a *admission) enterSoon(ctx context.Context, agent string) error {
	bounded, cancel := context.WithTimeout(ctx, a.wait)
	defer cancel()
	err := a.enter(bounded)
	if err == nil || ctx.Err() != nil {
		return err
	}
	refusal := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_OVERLOADED,
		"begin session of agent %q: too many agents come at once; come back after %s", agent, a.wait/4)
	refusal.Detail.RetryAfterMs = uint64((a.wait / 4).Milliseconds())
	return refusal
}

func (a *admission) leave() { <-a.slots }

// leaderWait is how long one of so many agents waits for a leader: longer when
// there are many, since each that is sent away asks again at once.
func (c Config) leaderWait(waiting int64) time.Duration {
	const crowd = 100
	return min(c.LeaderWait*time.Duration(1+waiting/crowd), max(c.LeaderWait, c.BeginWait))
}

// rest waits for a random part of a time.
func rest(ctx context.Context, longest time.Duration) error {
	if longest <= 0 {
		return nil
	}
	timer := time.NewTimer(rand.N(longest))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// spread is over how long so many agents shall come back. A few need none: they
// are no more than one server does in a moment.
func (c Config) spread(agents int) time.Duration {
	const few = 50
	if agents <= few {
		return 0
	}
	return min(time.Duration(agents)*time.Second/time.Duration(c.ReconnectsPerSecond), c.SessionTimeout*3/5)
}
