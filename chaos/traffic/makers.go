package traffic

import (
	"context"
	"fmt"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// madeObjects is how many objects each maker has, and how many all of them share.
const madeObjects = 3

func madeNames(owner string) []string {
	names := make([]string, madeObjects)
	for i := range names {
		names[i] = fmt.Sprintf("made-%s-%d", owner, i)
	}
	return names
}

// makeAlong creates and deletes objects, whether they are there or not.
func (s *session) makeAlong(ctx context.Context, names []string) {
	for {
		name := names[s.rand.IntN(len(names))]
		w := s.put(name)
		switch s.rand.IntN(10) {
		case 0, 1, 2, 3:
			w.expect(0)
		case 4:
			// Whatever is there is replaced.
		case 5, 6, 7:
			w = s.remove(name)
		case 8:
			w = s.remove(name)
			w.delete.IgnoreMissing = true
		case 9:
			w = s.remove(s.some(names)...)
			w.delete.IgnoreMissing = true
		}
		if !s.rest(ctx, s.settle(ctx, w)) {
			return
		}
	}
}

// some picks one of the names at least, each once, in any order.
func (s *session) some(names []string) []string {
	picked := make([]string, 0, len(names))
	for _, i := range s.rand.Perm(len(names))[:1+s.rand.IntN(len(names))] {
		picked = append(picked, names[i])
	}
	return picked
}

// groupObjects is how many objects a group has that is written at once.
const groupObjects = 4

func groupNames(owner string) []string {
	names := make([]string, groupObjects)
	for i := range names {
		names[i] = fmt.Sprintf("group-%s-%d", owner, i)
	}
	return names
}

// applyAlong writes several objects at once: its own group as a whole, expecting
// that it is as it was left, and any part of the group that all appliers share.
func (s *session) applyAlong(ctx context.Context, own, shared []string) {
	group := chain{known: true}
	for {
		var op *history.Operation
		switch {
		case s.oneIn(3):
			op = s.settle(ctx, s.put(s.some(shared)...))
		case s.oneIn(20):
			w := s.remove(s.some(shared)...)
			w.delete.IgnoreMissing = true
			op = s.settle(ctx, w)
		case !group.known:
			// They are written together only, so that one tells of all.
			if op = s.get(ctx, s.anyWay(), own[0], false); op.Outcome == history.Done {
				group.advance(revisionFound(op))
			}
		default:
			op = s.settle(ctx, s.put(own...).expect(group.revision))
			group.learn(op)
		}
		if !s.rest(ctx, op) {
			return
		}
	}
}
