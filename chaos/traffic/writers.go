package traffic

import (
	"context"
	"fmt"

	"github.com/argosy-cluster/argosy/chaos/history"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// conflict is the code of a write whose expectation did not hold.
var conflict = codeName(argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, ""))

// ownObjects is how many objects each writer has.
const ownObjects = 2

// chain is what a writer knows of an object that nobody else writes.
type chain struct {
	name string
	// known is set while the writer knows the revision, 0 for none, and before the
	// one that it had before that.
	known            bool
	revision, before uint64
}

func (c *chain) advance(revision uint64) {
	c.known, c.before, c.revision = true, c.revision, revision
}

func writerObjects(n int) []string {
	names := make([]string, ownObjects)
	for i := range names {
		names[i] = fmt.Sprintf("own-%d-%d", n, i)
	}
	return names
}

// writeAlong changes objects of its own, each time expecting the revision of the
// time before.
func (s *session) writeAlong(ctx context.Context, names []string) {
	chains := make([]chain, len(names))
	for i, name := range names {
		chains[i] = chain{name: name, known: true}
	}
	for {
		op := s.writeNext(ctx, &chains[s.rand.IntN(len(chains))])
		if !s.rest(ctx, op) {
			return
		}
	}
}

func (s *session) writeNext(ctx context.Context, c *chain) *history.Operation {
	if !c.known {
		op := s.get(ctx, s.anyWay(), c.name, false)
		if op.Outcome == history.Done {
			c.advance(revisionFound(op))
		}
		return op
	}
	switch {
	case c.before != 0 && s.oneIn(60):
		// What it was before must not do any more.
		op := s.change(ctx, s.anyWay(), s.put(c.name).expect(c.before))
		c.known = op.Outcome == history.Refused
		return op
	case c.revision != 0 && s.oneIn(60):
		op := s.settle(ctx, s.remove(c.name).expect(c.revision))
		if c.learn(op); op.Outcome == history.Done {
			c.revision, c.before = 0, 0
		}
		return op
	}
	op := s.settle(ctx, s.put(c.name).expect(c.revision))
	c.learn(op)
	return op
}

// learn takes in what a write tells of the object.
func (c *chain) learn(op *history.Operation) {
	switch {
	case op.Outcome == history.Done:
		c.advance(op.Revision)
	case op.Outcome == history.Unknown, op.Code == conflict:
		c.known = false
	}
}

// revisionFound is the revision of the only object that was read, 0 for none.
func revisionFound(op *history.Operation) uint64 {
	if len(op.Found) == 0 {
		return 0
	}
	return op.Found[0].Revision
}

// rivalObjects is how many objects the rivals fight for.
const rivalObjects = 3

func rivalNames() []string {
	names := make([]string, rivalObjects)
	for i := range names {
		names[i] = fmt.Sprintf("rival-%d", i)
	}
	return names
}

// rivalAlong reads an object that others change, too, and changes it on the
// condition that it is still as it was read.
func (s *session) rivalAlong(ctx context.Context, names []string) {
	for {
		name := names[s.rand.IntN(len(names))]
		read := s.get(ctx, s.anyWay(), name, s.oneIn(6))
		if read.Outcome != history.Done {
			if !s.rest(ctx, read) {
				return
			}
			continue
		}
		revision := revisionFound(read)
		w := s.put(name)
		if revision != 0 && s.oneIn(10) {
			w = s.remove(name)
		}
		if read.Revision != 0 && s.oneIn(4) {
			w.expectState(read.Revision)
		} else {
			w.expect(revision)
		}
		if !s.rest(ctx, s.settle(ctx, w)) {
			return
		}
	}
}
