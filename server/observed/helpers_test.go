package observed

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	starting = &argosyv1.ExecutionState{State: argosyv1.State_STATE_PENDING, Substate: argosyv1.Substate_SUBSTATE_PENDING_STARTING}
	running  = &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING, Substate: argosyv1.Substate_SUBSTATE_RUNNING_OK}
	failed   = &argosyv1.ExecutionState{State: argosyv1.State_STATE_FAILED, Substate: argosyv1.Substate_SUBSTATE_FAILED_EXEC_FAILED, ExitCode: 3, Restarts: 2, StartedUnixNanos: 7, RuntimeId: "c0ffee"}
	gone     = &argosyv1.ExecutionState{State: argosyv1.State_STATE_REMOVED}
)

func mustStore(t *testing.T, change ...func(*Config)) *Store {
	t.Helper()
	cfg := DefaultConfig()
	for _, c := range change {
		c(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustLead(t *testing.T, s *Store, term uint64) *Lead {
	t.Helper()
	l, err := s.Lead(term)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustCopy(t *testing.T, s *Store, term uint64) *Copy {
	t.Helper()
	c, err := s.Copy(term)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// name reads an instance name from workload.id.agent.
func name(t *testing.T, key string) *argosyv1.InstanceName {
	t.Helper()
	n, err := argosyv1.ParseInstanceName(key)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func state(t *testing.T, key string, e *argosyv1.ExecutionState) *argosyv1.WorkloadState {
	t.Helper()
	return &argosyv1.WorkloadState{Instance: name(t, key), Execution: e}
}

func connect(t *testing.T, l *Lead, agents ...string) {
	t.Helper()
	for _, a := range agents {
		if err := l.SetAgent(&argosyv1.AgentStatus{Name: a, Connected: true}); err != nil {
			t.Fatal(err)
		}
	}
}

func mustReport(t *testing.T, l *Lead, agent string, full bool, states ...*argosyv1.WorkloadState) Reported {
	t.Helper()
	r, err := l.Report(agent, full, states)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// texts writes states as "workload.id.agent State(Substate)".
func texts(states []*argosyv1.WorkloadState) []string {
	var all []string
	for _, s := range states {
		all = append(all, s.GetInstance().Key()+" "+s.GetExecution().Text())
	}
	return all
}

func agentTexts(agents []*argosyv1.AgentStatus) []string {
	var all []string
	for _, a := range agents {
		all = append(all, fmt.Sprintf("%s connected=%v", a.GetName(), a.GetConnected()))
	}
	return all
}

func content(s *Store) []string {
	return append(texts(s.States(func(func(*argosyv1.Workload) bool) {})), agentTexts(s.Agents())...)
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got: %s\nwant: %s", what, strings.Join(got, "\n      "), strings.Join(want, "\n      "))
	}
}

// events returns what a subscription has, as text, without waiting.
func events(t *testing.T, sub *Subscription) []string {
	t.Helper()
	var all []string
	for {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		batches, err := sub.Next(ctx)
		if err == context.Canceled {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range batches {
			all = append(all, agentTexts(b.Agents)...)
			all = append(all, texts(b.States)...)
			for _, a := range b.RemovedAgents {
				all = append(all, a+" removed")
			}
		}
	}
}
