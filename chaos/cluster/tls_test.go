package cluster_test

import (
	"testing"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestEverythingGoesOverMutualTLS(t *testing.T) {
	t.Parallel()
	x := mustTroupe(t, cluster.Config{Servers: 3, TLS: true})
	x.mustObey(t)

	t.Run("who has no certificate is not heard", func(t *testing.T) {
		plain, err := client.New(client.Config{Endpoints: x.cluster.Endpoints()})
		must(t, err)
		defer func() { _ = plain.Close() }()
		for _, endpoint := range x.cluster.Endpoints() {
			if status, err := plain.StatusOf(t.Context(), endpoint); err == nil {
				t.Errorf("%s answered %v", endpoint, status)
			}
		}
	})
	t.Run("the logs of a workload come through", func(t *testing.T) {
		mustApply(t, x.client, &argosyv1.Workload{Name: "speaker", Agent: "agent-2", Runtime: "process", RuntimeConfig: "command: /bin/echo\nargs: [hello]\n"})
		eventually(t, "the speaker", func() error {
			return when(x.observed(t)["speaker"].GetState() == argosyv1.State_STATE_SUCCEEDED, "it has not spoken")
		})
		var lines []string
		must(t, x.client.Logs(t.Context(), &argosyv1.LogsRequest{Names: []string{"speaker"}}, func(r *argosyv1.LogsResponse) error {
			for _, line := range r.GetLines() {
				if !line.GetEnd() {
					lines = append(lines, string(line.GetLine()))
				}
			}
			return nil
		}))
		if len(lines) != 1 || lines[0] != "hello" {
			t.Errorf("lines are %q", lines)
		}
		_, err := x.client.Delete(t.Context(), &argosyv1.DeleteRequest{Names: []string{"speaker"}})
		must(t, err)
	})
	t.Run("the leader is killed", func(t *testing.T) {
		leader := mustLeader(t, x.cluster)
		must(t, leader.Kill())
		x.mustBeUntouched(t)
		must(t, leader.Start())
		must(t, x.cluster.WaitLevel(t.Context()))
	})
}
