package traffic

import "context"

// readAlong reads one object after the other, at one server.
func (s *session) readAlong(ctx context.Context, names []string, stale bool) {
	for {
		op := s.get(ctx, s.own, names[s.rand.IntN(len(names))], stale)
		if !s.rest(ctx, op) {
			return
		}
	}
}

// listPause is how many times longer a lister waits than others: one list costs
// as much as many reads.
const listPause = 10

// listAlong reads everything: linearizably mostly, wherever it is answered or at
// one server.
func (s *session) listAlong(ctx context.Context) {
	for {
		op := s.list(ctx, s.anyWay(), s.oneIn(3))
		if !s.rest(ctx, op) || !s.pause(ctx, (listPause-1)*s.meanPause()) {
			return
		}
	}
}
