package traffic

import (
	"context"
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/traffic/probe"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func askerName(n int) string { return fmt.Sprintf("asker-%d", n) }

// askedName is the object that an asker alone writes: a config, or a workload that
// nothing runs.
func askedName(n int) string {
	if n%2 == 0 {
		return history.AskedConfig(n)
	}
	return fmt.Sprintf("asked-%d", n)
}

// askerPause is for how long an asker is left as it is, on average, of those that are
// changed and moved: long enough for its subscriptions to outlive some faults.
const askerPause = 8 * time.Second

// placer creates an asker, and changes and moves it if it is one of every second.
type placer struct {
	*session
	n     int
	asker chain
}

func (p *placer) placeAlong(ctx context.Context) {
	agent := p.home(p.n)
	for {
		op := p.placeNext(ctx, agent)
		if !p.rest(ctx, op) {
			return
		}
		if op.Outcome != history.Done || op.Action != history.Apply {
			continue
		}
		if !moves(p.n) || !p.pause(ctx, askerPause) {
			return
		}
		agent = p.config.Agents[p.rand.IntN(len(p.config.Agents))]
	}
}

func (p *placer) placeNext(ctx context.Context, agent string) *history.Operation {
	if !p.asker.known {
		op := p.get(ctx, p.anyWay(), p.asker.name, false)
		if op.Outcome == history.Done {
			p.asker.advance(revisionFound(op))
		}
		return op
	}
	op := p.settle(ctx, (&write{apply: &argosyv1.ApplyRequest{
		RequestId: client.NewRequestID(),
		Workloads: []*argosyv1.Workload{p.config.Asker(p.asker.name, agent, p.value(), askedName(p.n))},
	}}).expect(p.asker.revision))
	p.asker.learn(op)
	return op
}

// restLimit bounds how long it is waited for askers that shall rest: longer than they
// wait themselves. Of one that does not, the record tells.
const restLimit = 40 * time.Second

// quieten has all askers ask for nothing any more.
func (t *Traffic) quieten(ctx context.Context) error {
	if len(t.askers) == 0 {
		return nil
	}
	if err := probe.Calm(t.config.Messages); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, restLimit)
	defer cancel()
	ticker := time.NewTicker(failurePause)
	defer ticker.Stop()
	for _, name := range t.askers {
		for !probe.Rests(t.config.Messages, name) {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return nil
			}
		}
	}
	return nil
}
