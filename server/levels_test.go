package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
)

func TestTheLevelIsWhatAllServersKnow(t *testing.T) {
	for name, test := range map[string]struct {
		now    uint32
		levels []uint32
		want   uint32 // 0: nothing to write
	}{
		"all know more":               {0, []uint32{2, 2, 2}, 2},
		"one knows less":              {0, []uint32{2, 1, 2}, 0},
		"one is not heard":            {0, []uint32{2, 0, 2}, 0},
		"it is so already":            {2, []uint32{2, 2}, 0},
		"it never goes down":          {2, []uint32{2, 1}, 0},
		"no further than the highest": {2, []uint32{4, 3, 5}, 3},
		"no servers at all":           {0, nil, 0},
	} {
		now := &argosyv1.ClusterSettings{ClusterId: "c", FeatureLevel: test.now, StateQuotaBytes: 7, Revision: 9, CreatedRevision: 3}
		next := settledOn(now, "", test.levels)
		if (next != nil) != (test.want != 0) {
			t.Errorf("%s: %v", name, next)
			continue
		}
		if next == nil {
			continue
		}
		if next.GetFeatureLevel() != test.want || next.GetStateQuotaBytes() != 7 || next.GetClusterId() != "c" {
			t.Errorf("%s: %v", name, next)
		}
		if next.GetRevision() != 0 || next.GetCreatedRevision() != 0 {
			t.Errorf("%s: the row would carry revisions: %v", name, next)
		}
	}
	if next := settledOn(&argosyv1.ClusterSettings{FeatureLevel: 2}, "1-0000000a", nil); next.GetIncarnation() != "1-0000000a" || next.GetFeatureLevel() != 2 {
		t.Errorf("after a recovery: %v", next)
	}
}

func level(r *replica) uint32 {
	settings, _ := r.machine.View().Cluster()
	return argosyv1.ActiveLevel(settings)
}

func TestTheLevelIsRaisedAfterTheLastUpgrade(t *testing.T) {
	all := mustCluster(t, 3, func(i int, cfg *Config) { cfg.FeatureLevel = 7 + uint32(min(i, 1)) })
	for _, r := range all {
		eventually(t, "what all know is used", func() bool { return level(r) == 7 })
	}
	// The one that knows less is replaced.
	old := all[0]
	old.stop(t)
	upgraded := old.cfg
	upgraded.FeatureLevel = 8
	upgraded.Join = []string{all[1].Addresses().Gossip, all[2].Addresses().Gossip}
	all[0] = mustStart(t, upgraded)
	for _, r := range all {
		eventually(t, "what all know now is used", func() bool { return level(r) == 8 })
	}
	mustApply(t, all[0], applyOf(workload("w", "x")))
	status, err := all[1].Status(requestContext(t), &argosyv1.StatusRequest{})
	if err != nil || status.GetFeatureLevel() != 8 {
		t.Errorf("the status says feature level %d, %v", status.GetFeatureLevel(), err)
	}
	for _, server := range status.GetServers() {
		if server.GetFeatureLevel() != 8 {
			t.Errorf("the status says that %s knows feature level %d", server.GetName(), server.GetFeatureLevel())
		}
	}

	t.Run("a server that knows less is not let in", func(t *testing.T) {
		cfg := testConfig(t)
		cfg.Cluster = all[1].cfg.Cluster
		cfg.FeatureLevel = 7
		for _, r := range all {
			cfg.Join = append(cfg.Join, r.Addresses().Gossip)
		}
		stranger := mustStart(t, cfg)
		eventually(t, "the reason is told", func() bool {
			reason, _ := stranger.absence()
			return strings.Contains(reason, "feature levels up to 7, the cluster is at 8")
		})
		servers, err := all[1].node.Configuration()
		if err != nil || len(servers) != 3 {
			t.Fatalf("servers: %v, %v", servers, err)
		}
	})
	t.Run("a server does not go back", func(t *testing.T) {
		back := all[0]
		eventually(t, "the directory remembers", func() bool { return back.node.NoteFeatureLevel(level(back)) == nil })
		back.stop(t)
		cfg := back.cfg
		cfg.FeatureLevel = 7
		_, err := Open(cfg)
		if !errors.Is(err, consensus.ErrTooNew) || !strings.Contains(fmt.Sprint(err), "feature level 8, this binary knows up to 7") {
			t.Fatalf("opened with an older binary: %v", err)
		}
	})
}

// Writes of one client share a stream, and one that waits for a level is no reason
// for the others to wait.
func TestAWriteThatWaitsForALevelHoldsNobodyUp(t *testing.T) {
	r := mustCluster(t, 1, func(_ int, cfg *Config) { cfg.FeatureLevel = argosyv1.FeatureConfigs - 1 })[0]
	ctx, cancel := context.WithCancel(requestContext(t))
	defer cancel()
	stream, err := r.Write(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i, request := range []*argosyv1.ApplyRequest{
		{RequestId: newID(), Configs: []*argosyv1.Config{config("k", "v")}},
		applyOf(workload("w", "x")),
	} {
		if err := stream.Send(&argosyv1.WriteRequests{Writes: []*argosyv1.NumberedWrite{
			{Sequence: uint64(i), Write: &argosyv1.NumberedWrite_Apply{Apply: request}}}}); err != nil {
			t.Fatal(err)
		}
	}
	var answered []*argosyv1.NumberedResult
	for len(answered) < 2 {
		message, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		answered = append(answered, message.GetResults()...)
	}
	if first, second := answered[0], answered[1]; first.GetSequence() != 1 || first.GetRevision() == 0 || second.GetError().GetCode() != argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE {
		t.Errorf("first was answered %v, then %v", first, second)
	}
}

// Whoever writes as soon as there is a leader may use everything that the servers
// know.
func TestANewClusterIsAtTheLevelOfItsServers(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	_, err := leader.Apply(requestContext(t), &argosyv1.ApplyRequest{
		RequestId: newID(),
		Configs:   []*argosyv1.Config{{Key: "c", Value: &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Text{Text: "x"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	settings, _ := leader.machine.View().Cluster()
	if got := argosyv1.ActiveLevel(settings); got != argosyv1.FeatureLevel {
		t.Errorf("the cluster is at level %d, want %d", got, argosyv1.FeatureLevel)
	}
}
