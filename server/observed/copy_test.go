package observed

import (
	"errors"
	"slices"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func apply(t *testing.T, c *Copy, m *argosyv1.MirrorResponse) {
	t.Helper()
	if err := c.ApplyMirror(m); err != nil {
		t.Fatal(err)
	}
}

func agentStatus(name string, connected bool) *argosyv1.AgentStatus {
	return &argosyv1.AgentStatus{Name: name, Connected: connected}
}

func TestAFullCopyReplacesEverythingAndShowsOnlyWhatDiffers(t *testing.T) {
	s := mustStore(t)
	c := mustCopy(t, s, 1)
	apply(t, c, &argosyv1.MirrorResponse{Term: 1, Sequence: 5, Full: true,
		Agents: []*argosyv1.AgentStatus{agentStatus("a", true), agentStatus("b", true)},
		States: []*argosyv1.WorkloadState{state(t, "same.1.a", running), state(t, "changed.1.a", running), state(t, "gone.1.a", running), state(t, "w.1.b", running)},
	})
	_, sub := s.Subscribe()

	next := mustCopy(t, s, 2)
	want(t, "content while the copy comes", content(s)[:4], "changed.1.a Running(Ok)", "gone.1.a Running(Ok)", "same.1.a Running(Ok)", "w.1.b Running(Ok)")
	apply(t, next, &argosyv1.MirrorResponse{Term: 2, Sequence: 3, Full: true, Partial: true,
		Agents: []*argosyv1.AgentStatus{agentStatus("a", true)},
		States: []*argosyv1.WorkloadState{state(t, "same.1.a", running)},
	})
	if got := s.Position(); got != (Position{1, 5}) {
		t.Errorf("position %s in the middle of a copy, want 1/5", got)
	}
	apply(t, next, &argosyv1.MirrorResponse{Term: 2, Sequence: 3, Full: true,
		States: []*argosyv1.WorkloadState{state(t, "changed.1.a", failed), state(t, "new.1.a", running)},
	})
	if got := s.Position(); got != (Position{2, 3}) {
		t.Errorf("position %s after the copy, want 2/3", got)
	}
	got := events(t, sub)
	slices.Sort(got)
	want(t, "events", got, "b removed", "changed.1.a Failed(ExecFailed)", "gone.1.a Removed", "new.1.a Running(Ok)", "w.1.b Removed")
	want(t, "content", content(s), "changed.1.a Failed(ExecFailed)", "new.1.a Running(Ok)", "same.1.a Running(Ok)", "a connected=true")
	if s.Connected() != 1 {
		t.Errorf("connected: %d, want 1", s.Connected())
	}
}

func TestChangesAreAppliedInTheOrderRemovalsAgentsStates(t *testing.T) {
	s := mustStore(t)
	c := mustCopy(t, s, 1)
	apply(t, c, &argosyv1.MirrorResponse{Term: 1, Full: true,
		Agents: []*argosyv1.AgentStatus{agentStatus("a", true), agentStatus("b", true)},
		States: []*argosyv1.WorkloadState{state(t, "x.1.a", running), state(t, "x.1.b", running)},
	})
	apply(t, c, &argosyv1.MirrorResponse{Term: 1, Sequence: 9, RemovedAgents: []string{"b"},
		Agents: []*argosyv1.AgentStatus{agentStatus("a", false)},
		States: []*argosyv1.WorkloadState{state(t, "x.1.b", gone), state(t, "y.1.a", running), state(t, "x.1.a", gone)},
	})
	want(t, "content", content(s), "y.1.a Running(Ok)", "a connected=false")
}

func TestAMirrorIsRefusedThatCannotBeRight(t *testing.T) {
	full := func(term uint64) *argosyv1.MirrorResponse {
		return &argosyv1.MirrorResponse{Term: term, Full: true}
	}
	cases := []struct {
		what string
		do   func(*Store, *Copy) error
		want error
	}{
		{"changes before a full copy", func(_ *Store, c *Copy) error { return c.ApplyMirror(&argosyv1.MirrorResponse{Term: 5}) }, ErrNoCopy},
		{"changes before a full copy of a new stream", func(_ *Store, c *Copy) error {
			if err := c.ApplyMirror(full(5)); err != nil {
				return err
			}
			c.Restart()
			return c.ApplyMirror(&argosyv1.MirrorResponse{Term: 5})
		}, ErrNoCopy},
		{"a leader of an older term", func(_ *Store, c *Copy) error {
			if err := c.ApplyMirror(full(5)); err != nil {
				return err
			}
			return c.ApplyMirror(full(4))
		}, ErrStaleTerm},
		{"after another copy was begun", func(s *Store, c *Copy) error {
			if _, err := s.Copy(6); err != nil {
				return err
			}
			return c.ApplyMirror(full(5))
		}, ErrFenced},
		{"after this server became leader", func(s *Store, c *Copy) error {
			if _, err := s.Lead(6); err != nil {
				return err
			}
			return c.ApplyMirror(full(7))
		}, ErrFenced},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			s := mustStore(t)
			if err := c.do(s, mustCopy(t, s, 5)); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestANewLeaderStartsFromItsMirror(t *testing.T) {
	s := mustStore(t)
	c := mustCopy(t, s, 1)
	apply(t, c, &argosyv1.MirrorResponse{Term: 1, Sequence: 40, Full: true,
		Agents: []*argosyv1.AgentStatus{agentStatus("a", true)},
		States: []*argosyv1.WorkloadState{state(t, "w.1.a", running)},
	})
	_, sub := s.Subscribe()
	l := mustLead(t, s, 2)
	if got := s.Position(); got.Term != 2 {
		t.Errorf("position %s, want term 2", got)
	}
	before := s.Position()
	mustReport(t, l, "a", true, state(t, "w.1.a", running))
	if s.Position() != before || len(events(t, sub)) > 0 {
		t.Error("a report that says what the mirror said is a change")
	}
}
