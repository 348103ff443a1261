package server

import (
	"testing"

	"github.com/argosy-cluster/argosy/membership/identity/identitytest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// What the certificate of an agent is good for with users' services.
func TestAnAgentReadsAndWritesOnBehalfOfItsWorkloadsAlone(t *testing.T) {
	ca := identitytest.NewCA(t)
	all := mustCluster(t, 3, func(_ int, cfg *Config) { cfg.TLS = ca.Issue(t, "", "argosy-server") })
	leader := mustLeader(t, all...)
	eventually(t, "the feature level", func() bool { return level(leader) >= argosyv1.FeatureConfigs })
	asking := workload("asking", "one")
	asking.ControlInterfaceAccess = &argosyv1.ControlInterfaceAccess{AllowRules: []*argosyv1.AccessRule{{Kind: &argosyv1.AccessRule_State{
		State: &argosyv1.StateRule{Operation: argosyv1.AccessOperation_ACCESS_OPERATION_WRITE, FilterMasks: []string{"desiredState"}}}}}}
	mustApply(t, leader, applyOf(asking))

	agent := ca.Identity(t, asking.GetAgent()).ClientTLS("argosy-server")
	mustHello(t, &replica{conn: mustDial(t, leader.Addresses().API, agent)}, asking.GetAgent())

	for _, at := range all {
		conn := mustDial(t, at.Addresses().API, agent)
		users, operators := argosyv1.NewClusterServiceClient(conn), argosyv1.NewOperatorServiceClient(conn)
		eventually(t, "the agent in the state of "+at.cfg.Name, func() bool { _, ok := at.machine.View().Agent(asking.GetAgent()); return ok })
		if _, err := users.GetWorkload(requestContext(t), &argosyv1.GetWorkloadRequest{Name: "asking"}); err != nil {
			t.Errorf("read at %s: %v", at.cfg.Name, err)
		}
		onBehalf := applyOf(workload("asked-at-"+at.cfg.Name, "one"))
		onBehalf.OnBehalfOf = argosyv1.InstanceOf(asking)
		if _, err := users.Apply(requestContext(t), onBehalf); err != nil {
			t.Errorf("apply on behalf at %s: %v", at.cfg.Name, err)
		}
		stream, err := users.Write(requestContext(t))
		if err == nil {
			err = stream.Send(&argosyv1.WriteRequests{Writes: []*argosyv1.NumberedWrite{{Sequence: 1,
				Write: &argosyv1.NumberedWrite_Apply{Apply: applyOf(workload("x", "one"))}}}})
		}
		if err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		for err == nil && len(answer.GetResults()) == 0 { // the header comes first
			answer, err = stream.Recv()
		}
		if err != nil || answer.GetResults()[0].GetError().GetCode() != argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN {
			t.Errorf("write on a stream at %s: %v, %v", at.cfg.Name, answer, err)
		}
		for what, call := range map[string]func() error{
			"apply": func() error {
				_, err := users.Apply(requestContext(t), applyOf(workload("x", "one")))
				return err
			},
			"delete": func() error {
				_, err := users.Delete(requestContext(t), &argosyv1.DeleteRequest{RequestId: applyOf().GetRequestId(), Names: []string{"asking"}})
				return err
			},
			"remove an agent": func() error {
				_, err := users.RemoveAgent(requestContext(t), &argosyv1.RemoveAgentRequest{Name: "other"})
				return err
			},
			"transfer leadership": func() error {
				_, err := users.TransferLeadership(requestContext(t), &argosyv1.TransferLeadershipRequest{})
				return err
			},
			"save a snapshot": func() error {
				stream, err := operators.SaveSnapshot(requestContext(t), &argosyv1.SaveSnapshotRequest{})
				if err == nil {
					_, err = stream.Recv()
				}
				return err
			},
		} {
			if err := call(); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN {
				t.Errorf("%s at %s: %v", what, at.cfg.Name, err)
			}
		}
	}
}
