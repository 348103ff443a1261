package writer

import (
	"testing"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestAWorkloadMayAskForWhatItsRulesLeaveOpen(t *testing.T) {
	h := startFull(t, newLedger(t, false), nil)
	make := func(name string, access *argosyv1.ControlInterfaceAccess) *argosyv1.Workload {
		w := using(name, "k")
		w.Agent = "{x}"
		w.ControlInterfaceAccess = access
		return w
	}
	read, write, both := allowing(argosyv1.AccessOperation_ACCESS_OPERATION_READ), allowing(argosyv1.AccessOperation_ACCESS_OPERATION_WRITE), allowing(argosyv1.AccessOperation_ACCESS_OPERATION_READ_WRITE)
	narrow := proto.CloneOf(write)
	narrow.GetAllowRules()[0].GetState().FilterMasks = []string{"desiredState.workloads.other.tags", "desiredState.configs.mine"}
	nowhere := workload("nowhere", "one")
	nowhere.Agent, nowhere.ControlInterfaceAccess = "", both
	h.must(t, all(config("k", "a1"), make("writer", write), make("both", both), make("narrow", narrow), make("reader", read), make("plain", nil),
		make("denied", &argosyv1.ControlInterfaceAccess{DenyRules: write.GetAllowRules()}), nowhere))
	instance := func(name string) *argosyv1.InstanceName { return argosyv1.InstanceOf(h.stored(t, name)) }
	elsewhere, older := instance("writer"), instance("writer")
	elsewhere.Agent, older.Id = "a2", "00"
	for name, c := range map[string]struct {
		on   *argosyv1.InstanceName
		want string
	}{
		"no such workload": {&argosyv1.InstanceName{Workload: "none", Agent: "a1"}, `on behalf of workload "none": there is no such workload`},
		"another agent":    {elsewhere, "it is to run on agent 'a1', not on 'a2'"},
		"another instance": {older, "its instance is"},
		"not scheduled":    {instance("nowhere"), "it is to run on agent ''"},
		"may only read":    {instance("reader"), "none of its rules allows it to write anything of desiredState.workloads.w"},
		"may do nothing":   {instance("plain"), "none of its rules"},
		"another object":   {instance("narrow"), "none of its rules allows it to write anything of desiredState.workloads.w"},
		"is denied":        {instance("denied"), "none of its rules"},
	} {
		t.Run(name, func(t *testing.T) {
			r := all(workload("w", "one"), func(a *argosyv1.ApplyRequest) { a.OnBehalfOf = c.on })
			h.wantRefused(t, r, argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN, c.want)
			// Another copy may meet a state in which it is allowed.
			if e := wantCode(t, <-h.send(&Request{Principal: "ann", Apply: r.Apply}), argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN); e.Conclusive() {
				t.Error("the refusal speaks for all copies")
			}
		})
	}
	for _, name := range []string{"writer", "both"} {
		h.must(t, all(workload("w", name), func(a *argosyv1.ApplyRequest) { a.OnBehalfOf = instance(name) }))
	}
	h.must(t, all(workload("other", "one"), config("mine", "1"), func(a *argosyv1.ApplyRequest) { a.OnBehalfOf = instance("narrow") }))
	for _, with := range []any{
		func(a *argosyv1.ApplyRequest) { a.DeleteWorkloads = []string{"w"} },
		config("k", "a2"),
		func(a *argosyv1.ApplyRequest) { a.DeleteConfigs = []string{"k"} },
		func(a *argosyv1.ApplyRequest) { a.AgentTags = []*argosyv1.AgentTags{{Agent: "a1"}} },
	} {
		h.wantRefused(t, all(workload("other", "one"), with, func(a *argosyv1.ApplyRequest) { a.OnBehalfOf = instance("narrow") }),
			argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN, "none of its rules")
	}
	// It may take its own right away, by the state before its request.
	self := proto.CloneOf(h.stored(t, "writer"))
	self.ControlInterfaceAccess = nil
	h.must(t, all(self, func(a *argosyv1.ApplyRequest) { a.OnBehalfOf = instance("writer") }))
	h.wantRefused(t, all(workload("w", "x"), func(a *argosyv1.ApplyRequest) { a.OnBehalfOf = instance("writer") }), argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN, "none of its rules")
}
