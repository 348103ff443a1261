package cluster_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// What happens to a disk while its server is down: the server notices, gives its
// identity up, is filled by the leader, and the cluster is as it was.
func TestADamagedServerIsRebuiltByItself(t *testing.T) {
	t.Parallel()
	c := mustCluster(t, cluster.Config{Servers: 3})
	cl := mustClient(t, c)
	const marker = "marker-of-a-workload"
	mustApply(t, cl, &argosyv1.Workload{Name: marker, Runtime: "process", RuntimeConfig: "command: /bin/true"})
	must(t, c.WaitLevel(t.Context()))
	for i, damage := range []struct {
		name   string
		victim func() *cluster.Process
		do     func(dir string) error
	}{
		{"a bit of a follower's log is flipped",
			func() *cluster.Process { return others(c.Servers, mustLeader(t, c))[0] },
			func(dir string) error { return flipText(filepath.Join(dir, "raft", "raft.db"), marker) }},
		{"the data of the former leader is gone, its id is not",
			func() *cluster.Process { return mustLeader(t, c) },
			func(dir string) error { return os.RemoveAll(filepath.Join(dir, "raft")) }},
	} {
		t.Run(damage.name, func(t *testing.T) {
			victim := damage.victim()
			before := mustServer(t, c, victim).GetId()
			must(t, victim.Kill())
			must(t, damage.do(victim.DataDir))
			mustApply(t, cl, &argosyv1.Workload{Name: fmt.Sprint("meanwhile-", i), Runtime: "process", RuntimeConfig: "command: /bin/true"})
			must(t, victim.Start())
			eventually(t, "the damaged server to vote again under another id", func() error {
				status, err := cl.Status(t.Context())
				if err != nil {
					return err
				}
				var ids []string
				for _, s := range status.GetServers() {
					ids = append(ids, s.GetId())
					if !s.GetVoter() || s.GetProblem() != "" {
						return fmt.Errorf("%s: voter %v, problem %q", s.GetName(), s.GetVoter(), s.GetProblem())
					}
				}
				return when(len(ids) == 3 && !slices.Contains(ids, before), "servers are %v, it was %s", ids, before)
			})
			must(t, c.WaitLevel(t.Context()))
			if names := workloadNames(mustState(t, cl)); !strings.Contains(names, marker) || !strings.Contains(names, fmt.Sprint("meanwhile-", i)) {
				t.Errorf("workloads are %s", names)
			}
			if warnings := strings.Join(mustServer(t, c, victim).GetWarnings(), "\n"); !strings.Contains(warnings, "was found damaged") {
				t.Errorf("nobody is warned: %q", warnings)
			}
		})
	}
}

// flipText changes a bit wherever a text stands in a file.
func flipText(path, text string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Contains(content, []byte(text)) {
		return errors.New("the text is not in the file")
	}
	damaged := []byte(text)
	damaged[0] ^= 1
	return os.WriteFile(path, bytes.ReplaceAll(content, []byte(text), damaged), 0o600)
}
