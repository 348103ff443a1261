package writer

import (
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func removal(name string, change ...func(*argosyv1.RemoveAgentRequest)) *Request {
	r := &argosyv1.RemoveAgentRequest{RequestId: newID(), Name: name}
	for _, c := range change {
		c(r)
	}
	return &Request{Principal: "ann", Remove: r}
}

func forced(r *argosyv1.RemoveAgentRequest) { r.Force = true }

func TestAnAgentIsRemovedUnlessItIsInUse(t *testing.T) {
	here := true
	state := &argosyv1.WorkloadState{
		Instance:  &argosyv1.InstanceName{Workload: "w", Agent: "a1", Id: "1"},
		Execution: &argosyv1.ExecutionState{State: argosyv1.State_STATE_AGENT_DISCONNECTED, AdditionalInfo: "Last known: Running(Ok)"},
	}
	h := startFull(t, newLedger(t, false), func(_ *Config, d *Deps) {
		d.Agent = func(name string) (bool, []*argosyv1.WorkloadState) {
			if name != "a1" {
				return false, nil
			}
			return here, []*argosyv1.WorkloadState{state}
		}
	})
	if err := h.RegisterAgent(t.Context(), &argosyv1.Agent{Name: "a1"}); err != nil {
		t.Fatal(err)
	}
	h.wantRefused(t, removal("nobody"), notFoundCode, `agent "nobody"`)
	h.wantRefused(t, removal("a1"), conflictCode, "it is connected")
	here = false
	h.must(t, all(workload("w", "one")))
	h.wantRefused(t, removal("a1"), conflictCode, "it is to run w")
	h.must(t, all(without("w")))

	request := removal("a1", forced)
	o := h.must(t, request)
	forgotten := o.Result.GetForgotten()
	if len(forgotten) != 1 || forgotten[0].GetInstance().GetWorkload() != "w" || forgotten[0].GetExecution().GetAdditionalInfo() != "" {
		t.Errorf("forgotten: %v", forgotten)
	}
	if _, there := h.log.View().Agent("a1"); there {
		t.Error("the record of the agent is still there")
	}
	again := h.must(t, &Request{Principal: "ann", Remove: request.Remove})
	if !again.Replayed || len(again.Result.GetForgotten()) != 1 {
		t.Errorf("the repeat was answered %v", again)
	}
	h.wantRefused(t, removal("a1"), notFoundCode, "no agent of that name")
}
