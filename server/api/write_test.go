package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// settle applies settings of a feature level.
func (r *replica) settle(t *testing.T, level uint32) {
	t.Helper()
	value, err := proto.Marshal(&argosyv1.ClusterSettings{FeatureLevel: level})
	if err != nil {
		t.Fatal(err)
	}
	data, err := proto.Marshal(&argosyv1.Entry{Mutations: []*argosyv1.Mutation{{Kind: &argosyv1.Mutation_Put{
		Put: &argosyv1.PutRow{Kind: argosyv1.RowKind_ROW_KIND_CLUSTER, Key: fsm.ClusterKey, Value: value}}}}})
	if err != nil {
		t.Fatal(err)
	}
	r.index++
	if err, failed := r.machine.Apply(&raft.Log{Index: r.index, Data: data}).(error); failed {
		t.Fatal(err)
	}
}

// A leader of an older version would take a rehearsal for the real thing.
func TestWhatNotAllServersKnowGoesNoFurther(t *testing.T) {
	r := mustServe(t, 1<<20)
	rehearsal := &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{workload("w", "a")}, DryRun: true}
	r.settle(t, argosyv1.FeatureConfigs-1)
	if _, err := r.Apply(t.Context(), rehearsal); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE || r.wrote.Apply != nil {
		t.Errorf("a rehearsal went on, or was refused with %v", err)
	}
	if _, err := r.Delete(t.Context(), &argosyv1.DeleteRequest{Configs: []string{"k"}}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE || r.wrote.Delete != nil {
		t.Errorf("a config was deleted, or that was refused with %v", err)
	}
	if _, err := r.Apply(t.Context(), &argosyv1.ApplyRequest{Workloads: rehearsal.GetWorkloads()}); err != nil {
		t.Errorf("what all know was refused: %v", err)
	}
	r.settle(t, argosyv1.FeatureConfigs)
	if _, err := r.Apply(t.Context(), rehearsal); err != nil || !r.wrote.Apply.GetDryRun() {
		t.Errorf("%v, %v", r.wrote.Apply, err)
	}
}

// Who writes to a cluster that was founded a moment ago need not try again.
func TestAWriteWaitsForTheLevelThatItNeeds(t *testing.T) {
	r := mustServe(t, 1<<20, func(d *Deps) { d.LevelPatience = time.Minute })
	r.settle(t, argosyv1.FeatureConfigs-1)
	settled := make(chan struct{})
	r.awaited = func() {
		go func() {
			defer close(settled)
			r.settle(t, argosyv1.FeatureConfigs-1)
			r.settle(t, argosyv1.FeatureConfigs)
		}()
	}
	if _, err := r.Delete(t.Context(), &argosyv1.DeleteRequest{Configs: []string{"k"}}); err != nil || r.wrote.Delete == nil {
		t.Errorf("%v, %v", r.wrote.Delete, err)
	}
	<-settled
}

func TestOnlyTheAgentOfAnInstanceSpeaksForIt(t *testing.T) {
	calling := func(names ...string) context.Context {
		certificate := &x509.Certificate{DNSNames: names}
		return peer.NewContext(t.Context(), &peer.Peer{AuthInfo: credentials.TLSInfo{
			State: tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{certificate}}}}})
	}
	instance := &argosyv1.InstanceName{Workload: "w", Agent: "a1", Id: "1"}
	for name, c := range map[string]struct {
		ctx context.Context
		on  *argosyv1.InstanceName
		ok  bool
	}{
		"the agent":           {calling("node", "a1"), instance, true},
		"another agent":       {calling("a2"), instance, false},
		"a user":              {calling(), instance, false},
		"a user for himself":  {calling(), nil, true},
		"somebody, by no TLS": {t.Context(), instance, true},
	} {
		err := checkBehalf(c.ctx, c.on)
		if (err == nil) != c.ok || err != nil && argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN {
			t.Errorf("%s: %v", name, err)
		}
	}
}
