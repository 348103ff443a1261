package consensus

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"
)

// moodyDisk refuses every other write while it is in a bad mood.
type moodyDisk struct {
	raft.LogStore
	moody atomic.Bool
	calls atomic.Uint64
	fails atomic.Uint64
}

func (d *moodyDisk) IsMonotonic() bool {
	m, ok := d.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

func (d *moodyDisk) StoreLogs(entries []*raft.Log) error {
	if d.moody.Load() && d.calls.Add(1)%2 == 0 {
		d.fails.Add(1)
		return errors.New("not now")
	}
	return d.LogStore.StoreLogs(entries)
}

// TestAFollowerWhoseDiskRefusedEntriesCatchesUp is about hashicorp/raft issue
// 612: with pipelining, a follower that once answers "no" can be left without
// entries for as long as the leader leads, while it answers heartbeats.
func TestAFollowerWhoseDiskRefusedEntriesCatchesUp(t *testing.T) {
	var mu sync.Mutex
	disks := map[string]*moodyDisk{}
	c := mustFound(t, 3, func(cfg *Config) {
		dir := cfg.DataDir
		cfg.Disk = func(files raft.LogStore) raft.LogStore {
			mu.Lock()
			defer mu.Unlock()
			disks[dir] = &moodyDisk{LogStore: files}
			return disks[dir]
		}
	})
	leader := c.mustLead()
	if _, err := leader.transport.AppendEntriesPipeline("", ""); !errors.Is(err, raft.ErrPipelineReplicationNotSupported) {
		t.Fatalf("entries are pipelined: %v", err)
	}
	term := leader.Leadership().Term
	follower := c.followers(leader)[0]
	disk := disks[follower.cfg.DataDir]
	disk.moody.Store(true)
	write := func(from, to int) {
		t.Helper()
		var writers sync.WaitGroup
		for i := from; i < to; i++ {
			writers.Go(func() {
				if _, _, err := leader.Propose(fmt.Append(nil, i)).Wait(deadline(t)); err != nil {
					t.Errorf("write %d: %v", i, err)
				}
			})
		}
		writers.Wait()
	}
	for i := 0; disk.fails.Load() < 20; i++ {
		write(i*8, i*8+8)
		if i > 10_000 {
			t.Fatal("the disk has not refused anything")
		}
	}
	disk.moody.Store(false)
	index := mustWrite(t, leader, "last")
	eventually(t, "the follower has everything", func() bool { return follower.machine.Applied() >= index })
	if got, want := fmt.Sprint(follower.machine.all()), fmt.Sprint(leader.machine.all()); got != want {
		t.Errorf("the follower has %d bytes of entries, the leader %d", len(got), len(want))
	}
	if at := leader.Leadership(); !at.Leader || at.Term != term {
		t.Errorf("leadership changed: %+v", at)
	}
	eventually(t, "the leader knows", func() bool {
		o, err := leader.Overview()
		if err != nil {
			return false
		}
		for _, f := range o.Servers {
			if f.ID == follower.ID() {
				return f.Match >= index
			}
		}
		return false
	})
}
