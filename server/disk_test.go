package server

import (
	"sync/atomic"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/diskspace"
)

// fakeDisk makes a server believe that its disk has so much left.
func fakeDisk(cfg *Config) *atomic.Uint64 {
	var free atomic.Uint64
	free.Store(10 << 30)
	cfg.measureDisk = func(string) (diskspace.Usage, error) {
		return diskspace.Usage{Free: free.Load(), Size: 100 << 30}, nil
	}
	return &free
}

func TestADiskThatIsNearlyFullTakesTheLeadershipAwayAndThenTheWrites(t *testing.T) {
	disks := map[string]*atomic.Uint64{}
	all := mustCluster(t, 3, func(_ int, cfg *Config) { disks[cfg.Name] = fakeDisk(cfg) })
	leader := mustLeader(t, all...)
	mustApply(t, leader, applyOf(workload("w", "one")))

	disks[leader.cfg.Name].Store(1 << 20)
	eventually(t, "another leader", func() bool {
		r := mustLeader(t, others(all, leader)...)
		return r.node.Leadership().Leader
	})
	for _, r := range all {
		mustApply(t, r, applyOf(workload("w", "two "+r.cfg.Name)))
	}
	if problem := leader.describe().GetProblem(); problem == "" {
		t.Error("a server with a full disk reports no problem")
	}

	// A quorum of full disks: the client learns the reason through any server.
	next := mustLeader(t, others(all, leader)...)
	disks[next.cfg.Name].Store(1 << 20)
	eventually(t, "refusal of writes", func() bool {
		refused := 0
		for _, r := range all {
			_, err := r.Apply(requestContext(t), applyOf(workload("v", "one")))
			if argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_NO_SPACE {
				refused++
			}
		}
		return refused == len(all)
	})
	if _, err := all[0].Delete(requestContext(t), &argosyv1.DeleteRequest{RequestId: newID(), Names: []string{"w"}}); err != nil {
		t.Errorf("delete: %v", err)
	}
	for _, disk := range disks {
		disk.Store(10 << 30)
	}
	eventually(t, "writes", func() bool {
		_, err := all[0].Apply(requestContext(t), applyOf(workload("v", "one")))
		return err == nil
	})
}
