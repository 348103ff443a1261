package traffic

import (
	"context"
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func probeName(n int) string { return fmt.Sprintf("probe-%d", n) }

// moves tells whether a probe is one that movers change. The others stay as they
// are: nothing that is done to the cluster may restart them.
func moves(n int) bool { return n%2 == 1 }

// runs makes an Apply of a probe.
func (s *session) runs(name, agent string) *write {
	return &write{apply: &argosyv1.ApplyRequest{
		RequestId: client.NewRequestID(),
		Workloads: []*argosyv1.Workload{s.config.Probe(name, agent, s.value())},
	}}
}

// home is the agent that a probe starts at.
func (t *Traffic) home(n int) string { return t.config.Agents[n%len(t.config.Agents)] }

// place creates all probes that movers leave alone.
func (s *session) place(ctx context.Context) {
	for n := 0; n < s.config.Load.Probes; {
		op := &history.Operation{Outcome: history.Done}
		if !moves(n) || s.config.Load.Movers == 0 {
			op = s.settle(ctx, s.runs(probeName(n), s.home(n)).expect(0))
		}
		// One that is there was created by a try of unknown fate.
		if op.Outcome == history.Done || op.Code == conflict {
			n++
		}
		if !s.rest(ctx, op) {
			return
		}
	}
}

// moverPause is how much longer a mover waits than other changers, and the least
// that it waits: processes take longer to start than objects to change.
const (
	moverPause      = 100
	leastMoverPause = 500 * time.Millisecond
)

// moved is what a mover knows of a probe.
type moved struct {
	chain
	agent string
}

// moveAlong creates some probes, restarts them by giving them another value,
// moves them to other agents, and deletes them sometimes.
func (s *session) moveAlong(ctx context.Context, numbers []int) {
	probes := make([]*moved, len(numbers))
	for i, n := range numbers {
		probes[i] = &moved{chain{name: probeName(n), known: true}, s.home(n)}
	}
	for i := 0; ; i++ {
		// All are created first.
		p := probes[i%len(probes)]
		if i >= len(probes) {
			p = probes[s.rand.IntN(len(probes))]
		}
		op := s.moveNext(ctx, p)
		if !s.rest(ctx, op) || i >= len(probes) && !s.pause(ctx, max(moverPause*s.meanPause(), leastMoverPause)) {
			return
		}
	}
}

func (s *session) moveNext(ctx context.Context, p *moved) *history.Operation {
	if !p.known {
		op := s.get(ctx, s.anyWay(), p.name, false)
		if op.Outcome == history.Done {
			p.advance(revisionFound(op))
		}
		return op
	}
	if p.revision != 0 && s.oneIn(12) {
		op := s.settle(ctx, s.remove(p.name).expect(p.revision))
		if p.learn(op); op.Outcome == history.Done {
			p.revision, p.before = 0, 0
		}
		return op
	}
	if s.oneIn(2) {
		p.agent = s.config.Agents[s.rand.IntN(len(s.config.Agents))]
	}
	op := s.settle(ctx, s.runs(p.name, p.agent).expect(p.revision))
	p.learn(op)
	return op
}
