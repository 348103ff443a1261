package cluster_test

import (
	"fmt"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// mustVoters waits until a cluster has so many voters, all of them healthy.
func mustVoters(t *testing.T, cl *client.Client, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d voters", want), func() error {
		status, err := cl.Status(t.Context())
		if err != nil {
			return err
		}
		return when(int(status.GetVoters()) == want, "there are %d", status.GetVoters())
	})
}

// TestAClusterGrowsAndShrinksUnderLoad goes from one server to three, to five,
// loses a machine for good, and goes back to three, the first server not among
// them.
func TestAClusterGrowsAndShrinksUnderLoad(t *testing.T) {
	t.Parallel()
	c := mustCluster(t, cluster.Config{Servers: 1})
	for range 4 {
		_, err := c.AddServer(false)
		must(t, err)
	}
	cl := mustClient(t, c)
	l := startLoad(t, c, 4)
	l.mustGoOn(t)
	for n, p := range c.Servers[1:] {
		must(t, p.Start())
		if n%2 == 0 {
			continue // two join at once
		}
		mustVoters(t, cl, n+2)
		l.mustGoOn(t)
	}
	must(t, c.WaitLevel(t.Context()))

	dead, first := c.Servers[1], c.Servers[0]
	must(t, dead.Kill())
	l.mustGoOn(t)
	for _, p := range []*cluster.Process{dead, first} {
		eventually(t, p.Name+" is removed", func() error {
			_, err := cl.RemoveServer(t.Context(), &argosyv1.RemoveServerRequest{Server: p.Name})
			if argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
				return nil // by an earlier try
			}
			return err
		})
		l.mustGoOn(t)
	}
	eventually(t, "the removed server ends", func() error { return when(!first.Running(), "it runs") })
	mustVoters(t, cl, 3)
	l.mustGoOn(t)
	l.mustEnd(t)
	must(t, c.OneLeaderATerm())
	eventually(t, "level servers", func() error {
		status, err := cl.Status(t.Context())
		if err != nil {
			return err
		}
		for _, s := range status.GetServers() {
			if s.GetStateHash() != status.GetServers()[0].GetStateHash() {
				return fmt.Errorf("%s at %d and %s at %d differ", s.GetName(), s.GetAppliedIndex(), status.GetServers()[0].GetName(), status.GetServers()[0].GetAppliedIndex())
			}
		}
		return when(len(status.GetServers()) == 3, "%d servers are listed", len(status.GetServers()))
	})

	// What was removed says so when it is started again, and does nothing.
	must(t, first.Start())
	eventually(t, "the removed server ends again", func() error { return when(!first.Running(), "it runs") })
	mustVoters(t, cl, 3)
}
