package server

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

type agentStream = grpc.BidiStreamingClient[argosyv1.AgentMessage, argosyv1.ServerMessage]

func mustHello(t *testing.T, r *replica, name string) (agentStream, *argosyv1.ServerMessage) {
	t.Helper()
	ctx, cancel := context.WithCancel(requestContext(t))
	t.Cleanup(cancel)
	stream, err := argosyv1.NewAgentServiceClient(r.conn).Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	hello := &argosyv1.AgentHello{Name: name, Protocol: argosyv1.SupportedProtocol(), InstanceId: name + "-1", BootId: "boot", Tags: map[string]string{"zone": "a"}}
	if err := stream.Send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Hello{Hello: hello}}); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return stream, answer
}

func TestAnAgentIsSentToTheLeaderAndServedThere(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	follower := others(all, leader)[0]
	mustApply(t, follower, applyOf(workload("w", "one")))

	_, answer := mustHello(t, follower, "a1")
	if answer.GetRedirect().GetLeaderAddress() != leader.Addresses().API {
		t.Fatalf("a follower answered %v, the leader is at %s", answer, leader.Addresses().API)
	}
	stream, answer := mustHello(t, leader, "a1")
	welcome := answer.GetWelcome()
	if welcome.GetClusterId() != leader.node.ClusterID() || welcome.GetLeaderId() != leader.ID() || len(welcome.GetServerAddresses()) != 3 {
		t.Fatalf("the leader answered %v", answer)
	}
	assigned, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if got := assigned.GetAssignments().GetUpserts(); len(got) != 1 || got[0].GetName() != "w" {
		t.Fatalf("it was assigned %v", assigned)
	}
	running := &argosyv1.WorkloadState{
		Instance:  argosyv1.InstanceOf(workload("w", "one")),
		Execution: &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING, Substate: argosyv1.Substate_SUBSTATE_RUNNING_OK},
	}
	if err := stream.Send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_States{
		States: &argosyv1.StateReport{Full: true, States: []*argosyv1.WorkloadState{running}}}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the state on every server", func() bool {
		for _, r := range all {
			read := mustGet(t, r, "w")
			if len(read.GetStates()) != 1 || read.GetStates()[0].GetExecution().Text() != "Running(Ok)" {
				return false
			}
		}
		return true
	})
	status, err := follower.ClusterServiceClient.Status(requestContext(t), &argosyv1.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if status.GetAgents() != 1 || status.GetAgentsConnected() != 1 {
		t.Errorf("%d agents, %d connected", status.GetAgents(), status.GetAgentsConnected())
	}

	// The next leader starts with what the last one knew.
	leader.stop(t)
	next := mustLeader(t, others(all, leader)...)
	if read := mustGet(t, next, "w"); len(read.GetStates()) != 1 || read.GetStates()[0].GetExecution().Text() != "Running(Ok)" {
		t.Errorf("after the leader left: %v", read.GetStates())
	}
	if _, answer := mustHello(t, next, "a1"); answer.GetWelcome().GetTerm() <= welcome.GetTerm() {
		t.Errorf("the next leader answered %v", answer)
	}
}

func TestLogsOfNothingAreNotFoundOnAnyServer(t *testing.T) {
	all := mustCluster(t, 3, nil)
	for _, r := range all {
		stream, err := r.ClusterServiceClient.Logs(requestContext(t), &argosyv1.LogsRequest{Names: []string{"nobody"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
			t.Errorf("logs of nothing at %s: %v", r.cfg.Name, err)
		}
	}
}

func TestAnAgentThatIsGoneForGoodIsRemoved(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	follower := others(all, leader)[0]
	mustApply(t, follower, applyOf(workload("w", "one")))
	stream, _ := mustHello(t, leader, "a1")
	running := &argosyv1.WorkloadState{
		Instance:  argosyv1.InstanceOf(workload("w", "one")),
		Execution: &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING, Substate: argosyv1.Substate_SUBSTATE_RUNNING_OK},
	}
	if err := stream.Send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_States{
		States: &argosyv1.StateReport{Full: true, States: []*argosyv1.WorkloadState{running}}}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the state on the leader", func() bool {
		return len(mustGet(t, leader, "w").GetStates()) == 1 && leader.store.Has(running.GetInstance().Key())
	})

	remove := func(r *replica, req *argosyv1.RemoveAgentRequest) (*argosyv1.RemoveAgentResponse, error) {
		return r.RemoveAgent(requestContext(t), req)
	}
	refused := func(req *argosyv1.RemoveAgentRequest, want argosyv1.ErrorCode) {
		t.Helper()
		for _, r := range all {
			again := &argosyv1.RemoveAgentRequest{RequestId: newID(), Name: req.GetName(), Force: req.GetForce()}
			if _, err := remove(r, again); argosyv1.CodeOf(err) != want {
				t.Errorf("removal of %q through %s: %v, want %s", req.GetName(), r.cfg.Name, err, want)
			}
		}
	}
	refused(&argosyv1.RemoveAgentRequest{Name: "a1"}, argosyv1.ErrorCode_ERROR_CODE_CONFLICT)
	refused(&argosyv1.RemoveAgentRequest{Name: "nobody", Force: true}, argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND)
	refused(&argosyv1.RemoveAgentRequest{}, argosyv1.ErrorCode_ERROR_CODE_INVALID)

	req := &argosyv1.RemoveAgentRequest{RequestId: newID(), Name: "a1", Force: true}
	for attempt, r := range []*replica{follower, leader} {
		response, err := remove(r, req)
		if err != nil {
			t.Fatal(err)
		}
		if forgotten := response.GetForgotten(); len(forgotten) != 1 || forgotten[0].GetInstance().GetWorkload() != "w" || response.GetReplayed() != (attempt > 0) {
			t.Errorf("attempt %d was answered %v", attempt, response)
		}
	}
	for err := error(nil); ; {
		if _, err = stream.Recv(); err != nil {
			if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
				t.Errorf("the session of the agent ended: %v", err)
			}
			break
		}
	}
	eventually(t, "every server to forget the agent", func() bool {
		for _, r := range all {
			if _, known := r.store.Agent("a1"); known || r.store.Has(running.GetInstance().Key()) {
				return false
			}
		}
		return true
	})

	// It comes back: what it has of others, or of nobody, is not in what it is told.
	moved := workload("w", "one")
	moved.Agent = "a2"
	mustApply(t, follower, applyOf(moved))
	back, _ := mustHello(t, leader, "a1")
	assigned, err := back.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if told := assigned.GetAssignments(); !told.GetFull() || len(told.GetUpserts()) != 0 {
		t.Errorf("it is told %v", assigned)
	}
}
