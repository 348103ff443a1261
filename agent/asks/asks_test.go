package asks_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/asks"
	"github.com/argosy-cluster/argosy/agent/control"
	"github.com/argosy-cluster/argosy/agent/control/controltest"
	"github.com/argosy-cluster/argosy/proto/ankaios"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestRequestsGetWhatTheRulesAllow(t *testing.T) {
	logs := func(names ...string) *ankaios.Request {
		var all []*ankaios.WorkloadInstanceName
		for _, name := range names {
			all = append(all, &ankaios.WorkloadInstanceName{WorkloadName: name})
		}
		return controltest.Logs("1", all...)
	}
	for name, test := range map[string]struct {
		rules   string
		request *ankaios.Request
		denied  bool
	}{
		"nothing is allowed":                {"", controltest.Get("1", "desiredState"), true},
		"read what is allowed":              {"read:desiredState", controltest.Get("1", "desiredState.workloads"), false},
		"read what is not":                  {"read:desiredState.workloads", controltest.Get("1", "agents"), true},
		"read everything":                   {"read:*", controltest.Get("1"), false},
		"read by a rule for writing":        {"write:*", controltest.Get("1"), true},
		"read what is denied":               {"read:* !read:desiredState.workloads.secret", controltest.Get("1", "desiredState.workloads.secret"), true},
		"read what is denied by a wildcard": {"read:* !read:desiredState.workloads.secret", controltest.Get("1", "desiredState.workloads.*"), true},
		"read around what is denied":        {"read:* !read:desiredState.workloads.secret", controltest.Get("1", "desiredState.workloads.*", "effectiveState"), true},
		"read beside what is denied":        {"read:* !read:desiredState.workloads.secret", controltest.Get("1", "desiredState.workloads.open"), false},
		"be told of what is not allowed":    {"read:desiredState.workloads", controltest.Events("1", "agents"), true},
		"write what is allowed":             {"write:desiredState.workloads", controltest.Update("1", stateOf("a"), "desiredState.workloads.a"), false},
		"write what is not":                 {"write:desiredState.workloads.b", controltest.Update("1", stateOf("a"), "desiredState.workloads.a"), true},
		"write everything by half":          {"write:desiredState.workloads", controltest.Update("1", stateOf("a")), true},
		"write by a rule for reading":       {"read:*", controltest.Update("1", stateOf("a"), "desiredState.workloads.a"), true},
		"write without a state, denied":     {"read:*", controltest.Update("1", nil, "desiredState.workloads.a"), true},
		"logs that are allowed":             {"log:ab*", logs("abc"), false},
		"logs of two, one of them allowed":  {"log:ab*", logs("abc", "xyz"), true},
		"logs that are denied":              {"log:* !log:secret", logs("secret"), true},
		"logs of nothing":                   {"read:*", logs(), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, nil)
			by := s.assign("asking", strings.Fields(test.rules)...)
			if _, err := s.ask(by, test.request); errors.Is(err, control.ErrDenied) != test.denied || err != nil && !test.denied {
				t.Errorf("got %v", err)
			}
			if written := s.carriedOut(); test.denied && written > 0 {
				t.Error("it was written all the same")
			}
		})
	}
}

func TestAnInstanceThatIsNotToRunAnyMoreMayDoNothing(t *testing.T) {
	s := newScene(t, nil)
	former := s.assign("asking", "read:*")
	former.Id = argosyv1.InstanceID("what it was before")
	if _, err := s.ask(former, controltest.Get("1")); !errors.Is(err, control.ErrDenied) {
		t.Errorf("a former instance: %v", err)
	}
	if _, err := s.ask(argosyv1.InstanceOf(workload("stranger")), controltest.Get("1")); !errors.Is(err, control.ErrDenied) {
		t.Errorf("one that was never assigned: %v", err)
	}
}

func TestOtherRulesTakeEffectAtOnce(t *testing.T) {
	s := newScene(t, nil)
	by := s.assign("asking", "read:desiredState")
	sub := s.begin(by, controltest.Events("1", "desiredState"), 10)
	sub.wantEvent("current")
	s.assign("asking", "read:agents")
	if _, err := s.ask(by, controltest.Get("1", "desiredState")); !errors.Is(err, control.ErrDenied) {
		t.Errorf("read what was allowed before: %v", err)
	}
	s.mustAsk(by, controltest.Get("1", "agents"))
	s.put(workload("new"))
	sub.wantEnd(control.ErrDenied)
	if len(sub.responses) > 0 {
		t.Errorf("told %v", <-sub.responses)
	}
}

func TestTheStateIsAsLargeAsTheMasks(t *testing.T) {
	s := newScene(t, nil)
	s.put(workload("a"), workload("b"))
	s.report(workload("a"), argosyv1.State_STATE_RUNNING, argosyv1.Substate_SUBSTATE_RUNNING_OK)
	by := s.assign("asking", "read:*")
	state := s.mustAsk(by, controltest.Get("1", "desiredState.workloads.a.agent")).GetCompleteStateResponse().GetCompleteState()
	if all := state.GetDesiredState().GetWorkloads().GetWorkloads(); len(all) != 1 || all["a"].GetAgent() != "agent_A" || all["a"].Runtime != nil {
		t.Errorf("got workloads %v", all)
	}
	if state.GetWorkloadStates() != nil || state.GetDesiredState().GetApiVersion() != "v1" {
		t.Errorf("got %v", state)
	}
	whole := s.mustAsk(by, controltest.Get("1")).GetCompleteStateResponse()
	instance := argosyv1.InstanceOf(workload("a"))
	execution := whole.GetCompleteState().GetWorkloadStates().GetAgentStateMap()["agent_A"].GetWlNameStateMap()["a"].GetIdStateMap()[instance.GetId()]
	if _, running := execution.GetExecutionStateEnum().(*ankaios.ExecutionState_Running); !running || whole.GetAlteredFields() != nil {
		t.Errorf("got %v", whole)
	}
}

func TestAnUpdateTellsWhatIsNewAndWhatIsGone(t *testing.T) {
	s := newScene(t, nil)
	s.put(workload("old"))
	by := s.assign("asking", "all:desiredState.workloads")
	success := s.mustAsk(by, controltest.Update("1", stateOf("new"), "desiredState.workloads.new", "desiredState.workloads.old")).GetUpdateStateSuccess()
	if want := []string{argosyv1.InstanceOf(workload("new")).Key()}; !slices.Equal(success.GetAddedWorkloads(), want) {
		t.Errorf("added %v, want %v", success.GetAddedWorkloads(), want)
	}
	if want := []string{argosyv1.InstanceOf(workload("old")).Key()}; !slices.Equal(success.GetDeletedWorkloads(), want) {
		t.Errorf("deleted %v, want %v", success.GetDeletedWorkloads(), want)
	}
	again := s.mustAsk(by, controltest.Update("2", stateOf("new"), "desiredState.workloads.new")).GetUpdateStateSuccess()
	if again == nil || len(again.GetAddedWorkloads())+len(again.GetDeletedWorkloads()) > 0 {
		t.Errorf("the same again: %v", again)
	}
	if on := s.writes[0].GetOnBehalfOf(); on.Key() != by.Key() {
		t.Errorf("written on behalf of %v", on)
	}
}

func TestUpdatesThatCannotBeAreRejected(t *testing.T) {
	s := newScene(t, nil)
	by := s.assign("asking", "all:*")
	wrong := stateOf("a")
	wrong.DesiredState.Workloads.Workloads["a"].Runtime = nil
	other := stateOf("a")
	other.DesiredState.ApiVersion = "v7"
	for name, test := range map[string]struct {
		request *ankaios.Request
		want    string
	}{
		"no new state":      {controltest.Update("1", nil, "desiredState"), "The UpdateStateRequest does not contain a new state"},
		"no such field":     {controltest.Update("1", stateOf(), "desiredState.workloads.none.agent"), "Update rejected: 'Could not find field desiredState.workloads.none.agent'"},
		"another version":   {controltest.Update("1", other, "desiredState"), "Unsupported API version. Received 'v7', expected 'v1'"},
		"judged by servers": {controltest.Update("1", wrong, "desiredState.workloads.a"), "Update rejected: 'workload 'a', field 'runtime': is missing'"},
		"no mask at all":    {controltest.Update("1", stateOf("a"), "desiredState..a"), "segment 2"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.ask(by, test.request); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if s.carriedOut() > 0 {
		t.Error("something was written")
	}
}

func TestNothingThatOthersWriteMeanwhileIsUndone(t *testing.T) {
	s := newScene(t, nil)
	first := workload("shared")
	s.put(first)
	by := s.assign("asking", "all:*")
	s.meddle = func() {
		theirs := workload("shared")
		theirs.Tags = map[string]string{"theirs": "1"}
		s.put(theirs)
	}
	update := stateOf("shared")
	update.DesiredState.Workloads.Workloads["shared"].Tags = &ankaios.Tags{Tags: map[string]string{"mine": "1"}}
	s.mustAsk(by, controltest.Update("1", update, "desiredState.workloads.shared.tags.mine"))
	if got := s.workloads["shared"].GetTags(); got["mine"] != "1" || got["theirs"] != "1" {
		t.Errorf("tags are %v", got)
	}
	if len(s.writes) != 2 || string(s.writes[0].GetRequestId()) == string(s.writes[1].GetRequestId()) {
		t.Errorf("%d writes", len(s.writes))
	}
}

func TestAWriteWhoseAnswerIsLostHappensOnce(t *testing.T) {
	s := newScene(t, nil)
	by := s.assign("asking", "all:*")
	s.lose = 2
	success := s.mustAsk(by, controltest.Update("1", stateOf("a"), "desiredState.workloads.a")).GetUpdateStateSuccess()
	if len(success.GetAddedWorkloads()) != 1 || s.carriedOut() != 1 || len(s.writes) != 3 {
		t.Errorf("%v after %d tries that made %d writes", success, len(s.writes), s.carriedOut())
	}
}

func TestWithoutServersRequestsFailWithTheReason(t *testing.T) {
	s := newScene(t, func(cfg *asks.Config) { cfg.Timeout = 3 * time.Second })
	by := s.assign("asking", "all:*", "log:*")
	s.stop()
	var asking sync.WaitGroup
	for name, request := range map[string]*ankaios.Request{
		"state":  controltest.Get("1"),
		"update": controltest.Update("2", stateOf("a"), "desiredState.workloads.a"),
		"events": controltest.Events("3"),
		"logs":   controltest.Logs("4", &ankaios.WorkloadInstanceName{WorkloadName: "a"}),
	} {
		asking.Go(func() {
			if _, err := s.ask(by, request); !errors.Is(err, asks.ErrUnreachable) || !strings.Contains(err.Error(), "refused") {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	asking.Wait()
	s.know()
	if _, err := s.ask(by, controltest.Get("1")); !errors.Is(err, asks.ErrUnreachable) {
		t.Errorf("when none is known any more: %v", err)
	}
	elsewhere, _ := s.listen("")
	s.know(elsewhere)
	s.mustAsk(by, controltest.Get("1"))
}

func TestBeforeAnyServerIsKnownRequestsSaySo(t *testing.T) {
	s := newScene(t, func(cfg *asks.Config) { cfg.Servers = func() []string { return nil } })
	if _, err := s.ask(s.assign("asking", "all:*"), controltest.Get("1")); !errors.Is(err, asks.ErrUnreachable) || !strings.Contains(err.Error(), "no server yet") {
		t.Errorf("got %v", err)
	}
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	for name, change := range map[string]func(*asks.Config){
		"no servers":   func(c *asks.Config) { c.Servers = nil },
		"no workloads": func(c *asks.Config) { c.Workloads = nil },
		"no time":      func(c *asks.Config) { c.Timeout = 0 },
		"nothing":      func(c *asks.Config) { c.MaxAtOnce = 0 },
		"no checks":    func(c *asks.Config) { c.CheckEvery = 0 },
		"no events":    func(c *asks.Config) { c.MaxEvents = 0 },
	} {
		cfg := asks.DefaultConfig()
		cfg.Servers, cfg.Workloads = func() []string { return nil }, &scene{}
		change(&cfg)
		if _, err := asks.New(cfg); !errors.Is(err, asks.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
