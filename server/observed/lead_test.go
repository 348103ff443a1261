package observed

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestReportedStatesAreShownAndEveryTransitionIsAnEvent(t *testing.T) {
	s := mustStore(t)
	l := mustLead(t, s, 1)
	connect(t, l, "a")
	_, sub := s.Subscribe()
	mustReport(t, l, "a", true, state(t, "web.1.a", starting), state(t, "web.1.a", running))
	mustReport(t, l, "a", false, state(t, "web.1.a", running))
	mustReport(t, l, "a", false, state(t, "db.1.a", failed))
	want(t, "events", events(t, sub), "web.1.a Pending(Starting)", "web.1.a Running(Ok)", "db.1.a Failed(ExecFailed)")
	want(t, "content", content(s), "db.1.a Failed(ExecFailed)", "web.1.a Running(Ok)", "a connected=true")
}

func TestAReportThatSaysNothingNewIsNoEventAndMovesNothing(t *testing.T) {
	s := mustStore(t)
	l := mustLead(t, s, 1)
	connect(t, l, "a")
	mustReport(t, l, "a", true, state(t, "web.1.a", failed))
	before := s.Position()
	mustReport(t, l, "a", true, state(t, "web.1.a", failed))
	if err := l.UpdateAgent("a", func(*argosyv1.AgentStatus) {}); err != nil {
		t.Fatal(err)
	}
	if after := s.Position(); after != before {
		t.Errorf("position went from %s to %s", before, after)
	}
}

// An agent that was upgraded gives the reason of a state of which it gave but a text.
func TestAReasonForWhatIsKnownIsTakenIn(t *testing.T) {
	s := mustStore(t)
	l := mustLead(t, s, 1)
	connect(t, l, "a")
	without := proto.CloneOf(failed)
	without.AdditionalInfo = "Exit code: '3'"
	mustReport(t, l, "a", true, state(t, "web.1.a", without))
	with := proto.CloneOf(without)
	with.Reason = argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_EXIT, "code", "3")
	mustReport(t, l, "a", true, state(t, "web.1.a", with))
	before := s.Position()
	mustReport(t, l, "a", true, state(t, "web.1.a", proto.CloneOf(with)))
	if all := s.Reported("web"); len(all) != 1 || !proto.Equal(all[0].GetExecution().GetReason(), with.Reason) {
		t.Errorf("it is %v", all)
	}
	if after := s.Position(); after != before {
		t.Errorf("what was known moved the position from %s to %s", before, after)
	}
}

func TestRemovedDropsTheEntryAndAFullReportDropsWhatItDoesNotName(t *testing.T) {
	s := mustStore(t)
	l := mustLead(t, s, 1)
	connect(t, l, "a", "b")
	mustReport(t, l, "a", true, state(t, "x.1.a", running), state(t, "y.1.a", running), state(t, "z.1.a", running))
	mustReport(t, l, "b", true, state(t, "x.1.b", running))
	_, sub := s.Subscribe()
	if r := mustReport(t, l, "a", false, state(t, "x.1.a", gone), state(t, "never.1.a", gone)); strings.Join(r.Gone, " ") != "x" {
		t.Errorf("gone: %v, want x", r.Gone)
	}
	if r := mustReport(t, l, "a", true, state(t, "z.1.a", running)); strings.Join(r.Gone, " ") != "y" {
		t.Errorf("gone: %v, want y", r.Gone)
	}
	want(t, "events", events(t, sub), "x.1.a Removed", "y.1.a Removed")
	want(t, "content", content(s), "x.1.b Running(Ok)", "z.1.a Running(Ok)", "a connected=true", "b connected=true")
	if other, ok := s.Elsewhere("x", "a"); !ok || other != "b" {
		t.Errorf("elsewhere: %q %v, want b", other, ok)
	}
	if _, ok := s.Elsewhere("x", "b"); ok {
		t.Error("x is nowhere but on b")
	}
}

func TestAnAgentSpeaksOnlyOfItsOwnInstances(t *testing.T) {
	long := strings.Repeat("n", 65)
	cases := map[string]*argosyv1.WorkloadState{
		"instance of another agent":   state(t, "web.1.b", running),
		"no workload":                 {Instance: &argosyv1.InstanceName{Id: "1", Agent: "a"}, Execution: running},
		"no id":                       {Instance: &argosyv1.InstanceName{Workload: "web", Agent: "a"}, Execution: running},
		"workload name is too long":   {Instance: &argosyv1.InstanceName{Workload: long, Id: "1", Agent: "a"}, Execution: running},
		"id is too long":              {Instance: &argosyv1.InstanceName{Workload: "web", Id: long, Agent: "a"}, Execution: running},
		"nothing":                     {},
		"state that is not filled in": state(t, "web.1.a", &argosyv1.ExecutionState{}),
		"state that servers give":     state(t, "web.1.a", &argosyv1.ExecutionState{State: argosyv1.State_STATE_AGENT_DISCONNECTED}),
		"other state of servers":      state(t, "web.1.a", &argosyv1.ExecutionState{State: argosyv1.State_STATE_NOT_SCHEDULED}),
		"removal of another's":        state(t, "web.1.b", gone),
	}
	for what, bad := range cases {
		t.Run(what, func(t *testing.T) {
			s := mustStore(t)
			l := mustLead(t, s, 1)
			connect(t, l, "a", "b")
			mustReport(t, l, "b", true, state(t, "web.1.b", running))
			r := mustReport(t, l, "a", false, bad, state(t, "good.1.a", running))
			if r.Foreign != 1 {
				t.Errorf("foreign: %d, want 1", r.Foreign)
			}
			want(t, "states", texts(s.States(func(func(*argosyv1.Workload) bool) {})), "good.1.a Running(Ok)", "web.1.b Running(Ok)")
		})
	}
}

func TestWhatAnAgentSaysIsBounded(t *testing.T) {
	s := mustStore(t, func(c *Config) { c.MaxStatesPerAgent = 2 })
	l := mustLead(t, s, 1)
	connect(t, l, "a")
	r := mustReport(t, l, "a", false, state(t, "x.1.a", running), state(t, "y.1.a", running), state(t, "z.1.a", running), state(t, "x.1.a", failed))
	if r.Excess != 1 {
		t.Errorf("excess: %d, want 1", r.Excess)
	}
	want(t, "states", texts(s.States(func(func(*argosyv1.Workload) bool) {})), "x.1.a Failed(ExecFailed)", "y.1.a Running(Ok)")

	text := strings.Repeat("é", maxText) // two bytes each
	mustReport(t, l, "a", false, state(t, "x.1.a", &argosyv1.ExecutionState{State: argosyv1.State_STATE_FAILED, AdditionalInfo: "x" + text, RuntimeId: text}))
	e := s.Reported("x")[0].GetExecution()
	if len(e.GetAdditionalInfo()) > maxText || len(e.GetAdditionalInfo()) < maxText-1 || !utf8.ValidString(e.GetAdditionalInfo()) {
		t.Errorf("additional info has %d bytes, valid: %v", len(e.GetAdditionalInfo()), utf8.ValidString(e.GetAdditionalInfo()))
	}
	if len(e.GetRuntimeId()) > maxShort {
		t.Errorf("runtime id has %d bytes", len(e.GetRuntimeId()))
	}
	flood := &argosyv1.Reason{Code: argosyv1.ReasonCode_REASON_CODE_RETRY, Arguments: map[string]string{"attempt": "1", "error": text}}
	for at := range 100 {
		flood.Arguments[fmt.Sprint(at, text)] = text
	}
	mustReport(t, l, "a", false, state(t, "x.1.a", (&argosyv1.ExecutionState{State: argosyv1.State_STATE_PENDING}).Explain(flood)))
	if kept := s.Reported("x")[0].GetExecution().GetReason(); kept.GetCode() != flood.GetCode() || proto.Size(kept) > maxArguments*(maxText+maxName+16) {
		t.Errorf("kept of the reason: code %s, %d bytes", kept.GetCode(), proto.Size(kept))
	}
	retry := argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_RETRY, "attempt", "2", "error", "no image")
	mustReport(t, l, "a", false, state(t, "x.1.a", (&argosyv1.ExecutionState{State: argosyv1.State_STATE_PENDING}).Explain(retry)))
	if kept := s.Reported("x")[0].GetExecution().GetReason(); !proto.Equal(kept, retry) {
		t.Errorf("kept of the reason: %v, want %v", kept, retry)
	}
	status := &argosyv1.AgentStatus{Name: "a", Connected: true, Version: text, CpuPercent: 900}
	for range 100 {
		status.Runtimes = append(status.Runtimes, &argosyv1.RuntimeInfo{Name: "podman", Problem: text})
	}
	if err := l.SetAgent(status); err != nil {
		t.Fatal(err)
	}
	got, _ := s.Agent("a")
	if len(got.GetVersion()) > maxShort || len(got.GetRuntimes()) > maxRuntimes || len(got.GetRuntimes()[0].GetProblem()) > maxText || got.GetCpuPercent() != 100 {
		t.Errorf("status is not bounded: version %d bytes, %d runtimes, cpu %d", len(got.GetVersion()), len(got.GetRuntimes()), got.GetCpuPercent())
	}
}

func TestALostAgentsStatesAreShownAsDisconnectedAndComeBackWithItsReport(t *testing.T) {
	s := mustStore(t)
	l := mustLead(t, s, 1)
	connect(t, l, "a", "b")
	mustReport(t, l, "a", true, state(t, "web.1.a", failed), state(t, "db.1.a", running))
	mustReport(t, l, "b", true, state(t, "web.1.b", running))
	_, sub := s.Subscribe()
	for range 2 { // twice is once
		if err := l.Disconnect("a", Lost{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(events(t, sub)); got != 3 {
		t.Errorf("%d events, want 3: the agent and its two states", got)
	}
	want(t, "content", content(s), "db.1.a AgentDisconnected", "web.1.a AgentDisconnected", "web.1.b Running(Ok)", "a connected=false", "b connected=true")
	e := s.Reported("web")[0].GetExecution()
	if e.GetAdditionalInfo() != "Last known: Failed(ExecFailed)" || e.GetExitCode() != 3 || e.GetRestarts() != 2 || e.GetRuntimeId() != "c0ffee" || e.GetStartedUnixNanos() != 7 {
		t.Errorf("what was known last is lost: %v", e)
	}
	if s.Connected() != 1 {
		t.Errorf("connected: %d, want 1", s.Connected())
	}

	connect(t, l, "a")
	mustReport(t, l, "a", true, state(t, "web.1.a", failed), state(t, "db.1.a", running))
	want(t, "events of the return", events(t, sub), "a connected=true", "web.1.a Failed(ExecFailed)", "db.1.a Running(Ok)")
}

func TestALostAgentMayHaveWhatItHasNotSpokenOf(t *testing.T) {
	s := mustStore(t, func(c *Config) { c.MaxStatesPerAgent = 3 })
	l := mustLead(t, s, 1)
	disconnect := func(lost Lost, unheard bool) {
		t.Helper()
		if err := l.Disconnect("a", lost); err != nil {
			t.Fatal(err)
		}
		if status, _ := s.Agent("a"); status.GetUnheard() != unheard {
			t.Errorf("a counts as unheard: %v, want %v", status.GetUnheard(), unheard)
		}
	}
	connect(t, l, "a")
	mustReport(t, l, "a", true, state(t, "spoken.1.a", running))
	disconnect(Lost{Unspoken: []*argosyv1.InstanceName{name(t, "spoken.1.a"), name(t, "sent.1.a")}}, false)
	want(t, "content", content(s), "sent.1.a AgentDisconnected", "spoken.1.a AgentDisconnected", "a connected=false")
	if other, ok := s.Elsewhere("sent", "b"); other != "a" || !ok {
		t.Errorf("what a was sent is at %q, want a", other)
	}
	// What does not fit is not forgotten.
	disconnect(Lost{Unspoken: []*argosyv1.InstanceName{name(t, "more.1.a"), name(t, "many.1.a")}}, true)
	if got := len(s.agents["a"].instances); got != 3 {
		t.Errorf("a has %d instances, want at most 3", got)
	}
	connect(t, l, "a")
	mustReport(t, l, "a", true, state(t, "sent.1.a", running))
	want(t, "content after its return", content(s), "sent.1.a Running(Ok)", "a connected=true")
	disconnect(Lost{}, false)
}

func TestARemovedAgentTakesItsStatesWithIt(t *testing.T) {
	s := mustStore(t)
	l := mustLead(t, s, 1)
	connect(t, l, "a", "b")
	mustReport(t, l, "a", true, state(t, "web.1.a", running))
	_, sub := s.Subscribe()
	for _, agent := range []string{"a", "never"} {
		if err := l.RemoveAgent(agent); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "events", events(t, sub), "web.1.a Removed", "a removed")
	want(t, "content", content(s), "b connected=true")
	if s.Connected() != 1 {
		t.Errorf("connected: %d, want 1", s.Connected())
	}
}

func TestOnlyTheLastWriterWrites(t *testing.T) {
	type take func(*testing.T, *Store) error
	lead := func(term uint64) take {
		return func(_ *testing.T, s *Store) error { _, err := s.Lead(term); return err }
	}
	follow := func(term uint64) take {
		return func(_ *testing.T, s *Store) error { _, err := s.Copy(term); return err }
	}
	cases := []struct {
		what  string
		then  take
		err   error // of taking
		after error // of the first leader's writes
	}{
		{"leading in a later term", lead(6), nil, ErrFenced},
		{"following a later leader", follow(6), nil, ErrFenced},
		{"leading in an older term", lead(4), ErrStaleTerm, nil},
		{"leading in no term", lead(0), ErrStaleTerm, nil},
		{"following an older leader", follow(4), ErrStaleTerm, nil},
		{"following in the own term", follow(5), ErrFenced, nil},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			s := mustStore(t)
			first := mustLead(t, s, 5)
			if err := c.then(t, s); !errors.Is(err, c.err) {
				t.Errorf("taking: %v, want %v", err, c.err)
			}
			err := first.SetAgent(&argosyv1.AgentStatus{Name: "a"})
			if !errors.Is(err, c.after) {
				t.Errorf("write of the first leader: %v, want %v", err, c.after)
			}
			select {
			case <-first.Done():
				if c.after == nil {
					t.Error("the first leader was told that it lost its right")
				}
			default:
				if c.after != nil {
					t.Error("the first leader was not told that it lost its right")
				}
			}
		})
	}
}

func TestALeaderThatResignsWritesNoMore(t *testing.T) {
	s := mustStore(t)
	l := mustLead(t, s, 1)
	if now, ok := s.Leading(); !ok || now.Term() != 1 {
		t.Error("the store does not say that it leads")
	}
	l.Resign()
	l.Resign()
	<-l.Done()
	if err := l.Disconnect("a", Lost{}); !errors.Is(err, ErrFenced) {
		t.Errorf("write after resigning: %v, want ErrFenced", err)
	}
	if _, ok := s.Leading(); ok {
		t.Error("the store says that it leads")
	}
}
