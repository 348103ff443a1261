package server

import (
	"strings"
	"testing"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// The status of a real cluster has no problems while all is well, and names
// what was lost first.
func TestStatusNamesProblems(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	mustApply(t, leader, applyOf(workload("w1", "x"), &argosyv1.Workload{Name: "w2", Runtime: "process", RuntimeConfig: "x"}))
	var status *argosyv1.StatusResponse
	ask := func(of *replica) *argosyv1.StatusResponse {
		response, err := of.Status(requestContext(t), &argosyv1.StatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	eventually(t, "a cluster without problems", func() bool {
		status = ask(leader)
		return len(status.GetProblems()) == 0 && status.GetMayLose() == 1
	})
	if status.GetWorkloadStates()["Pending(Initial)"] != 1 || status.GetWorkloadStates()["NotScheduled"] != 1 {
		t.Errorf("states of workloads: %v", status.GetWorkloadStates())
	}
	if status.GetFeatureLevel() == 0 || status.GetStateBytes() == 0 {
		t.Errorf("feature level %d, %d bytes", status.GetFeatureLevel(), status.GetStateBytes())
	}
	lost := others(all, leader)[0]
	lost.crash(t)
	eventually(t, "the loss to be told", func() bool {
		status = ask(leader)
		problems := status.GetProblems()
		return len(problems) == 2 && status.GetMayLose() == 0 &&
			problems[0].GetSubject() == "cluster" && strings.Contains(problems[0].GetWhat(), "not one more may be lost") &&
			problems[1].GetSubject() == lost.cfg.Name && strings.HasPrefix(problems[1].GetWhat(), "not reachable")
	})
}

func TestClockAheadLeavesOutTheWay(t *testing.T) {
	asked := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		told time.Time
		way  time.Duration
		want time.Duration
	}{
		"level":                     {asked.Add(5 * time.Millisecond), 10 * time.Millisecond, 0},
		"no more than the way":      {asked.Add(290 * time.Millisecond), 300 * time.Millisecond, 0},
		"ahead":                     {asked.Add(time.Minute), 10 * time.Millisecond, time.Minute - 5*time.Millisecond},
		"behind":                    {asked.Add(-time.Minute), 0, -time.Minute},
		"an old server has no word": {time.Unix(0, 0), 0, 0},
	} {
		if got := clockAhead(c.told.UnixNano(), asked, asked.Add(c.way)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
