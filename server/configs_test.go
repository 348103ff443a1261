package server

import (
	"context"
	"fmt"
	"maps"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func config(key, text string) *argosyv1.Config {
	return &argosyv1.Config{Key: key, Value: &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Text{Text: text}}}
}

func configsOf(t *testing.T, r *replica) map[string]uint64 {
	t.Helper()
	stream, err := r.GetState(requestContext(t), &argosyv1.GetStateRequest{OmitWorkloads: true, OmitStates: true, OmitAgents: true})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]uint64{}
	for {
		m, err := stream.Recv()
		if err != nil {
			return found
		}
		for _, c := range m.GetConfigs() {
			found[c.GetKey()] = c.GetRevision()
		}
	}
}

// follow keeps what a watch tells of configs, until a revision. No config may be
// told twice at one revision.
func follow(t *testing.T, r *replica, after, until uint64, known map[string]uint64) uint64 {
	t.Helper()
	ctx, cancel := context.WithCancel(requestContext(t))
	defer cancel()
	stream, err := r.Watch(ctx, &argosyv1.WatchRequest{AfterRevision: after, OmitObserved: true, OmitAgents: true})
	if err != nil {
		t.Fatal(err)
	}
	for at := after; ; {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if m.GetSnapshotBegin() && after > 0 {
			t.Error("resumed it began with a snapshot")
		}
		for _, c := range m.GetConfigs() {
			if c.GetRevision() <= known[c.GetKey()] || c.GetRevision() <= after {
				t.Errorf("%s of revision %d is told again", c.GetKey(), c.GetRevision())
			}
			known[c.GetKey()] = c.GetRevision()
		}
		for _, key := range m.GetDeletedConfigs() {
			if _, ok := known[key]; !ok {
				t.Errorf("%s is told as deleted, and was not there", key)
			}
			delete(known, key)
		}
		if at = m.GetHeader().GetRevision(); at >= until {
			return at
		}
	}
}

func TestConfigsAreFollowedFromServerToServer(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	rest := others(all, leader)
	eventually(t, "a level that knows configs", func() bool { return level(leader) >= argosyv1.FeatureConfigs })
	known := map[string]uint64{}
	write := func(r *replica, i int) uint64 {
		request := applyOf()
		request.Configs = []*argosyv1.Config{config("same", fmt.Sprint(i)), config(fmt.Sprint("c", i), "x")}
		if i > 2 {
			request.DeleteConfigs = []string{fmt.Sprint("c", i-2)}
		}
		return mustApply(t, r, request).GetHeader().GetRevision()
	}
	var at, last uint64
	for i := range 10 {
		last = write(all[i%3], i)
		if i%3 == 2 {
			at = follow(t, all[i/3%3], at, last, known)
		}
	}
	at = follow(t, rest[0], at, last, known)

	leader.crash(t)
	last = mustDo(t, "apply a config", func() (uint64, error) {
		request := applyOf()
		request.Configs = []*argosyv1.Config{config("after", "x")}
		response, err := rest[0].Apply(requestContext(t), request)
		return response.GetHeader().GetRevision(), err
	})
	follow(t, rest[1], at, last, known)
	for _, r := range rest {
		if got := configsOf(t, r); !maps.Equal(got, known) {
			t.Errorf("the watches know %v, %s has %v", known, r.cfg.Name, got)
		}
	}
}
