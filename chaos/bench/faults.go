package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/wait"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// faultDisk is the size of a server's disk in the lab.
const faultDisk = 512 << 20

// faults are outages on hosts and disks that can fail.
type faults struct {
	*outages
	site *lab.Site
}

// measureFaults measures what happens when networks are cut, machines lose
// power, and disks stall.
func measureFaults(ctx context.Context, s *suite) error {
	dir, clean, err := s.dir("faults")
	if err != nil {
		return err
	}
	defer clean()
	site, err := lab.NewSite(dir, lab.SiteConfig{DiskSize: faultDisk})
	if err != nil {
		return err
	}
	defer func() { _ = site.Close() }()
	config := cluster.Config{Dir: dir, Agents: 10}
	site.Use(&config)
	o, err := s.startOutages(ctx, config)
	if err != nil {
		return err
	}
	defer o.close()
	f := &faults{outages: o, site: site}
	for _, measure := range []func(context.Context) error{f.partitions, f.powerLosses, f.followerCuts, f.stalls} {
		if err := measure(ctx); err != nil {
			return err
		}
	}
	return f.verdict(ctx, "cuts, power losses and stalls")
}

// partitions cut the leader off from the other servers; clients and agents reach
// it all the time.
func (f *faults) partitions(ctx context.Context) error {
	var outage sample
	stale := 0
	for range f.suite.times(100) {
		old, _, took, err := f.fault(ctx, func(p *cluster.Process) error { return f.site.Cut(p, f.cluster.Servers...) })
		if err != nil {
			return err
		}
		outage = append(outage, took)
		reads, err := f.readFromOld(ctx, old, func() error { return f.site.Heal(old) })
		if err != nil {
			return err
		}
		stale += reads
		if err := f.level(ctx); err != nil {
			return err
		}
	}
	f.suite.outage("leader cut off from the other servers, to next acknowledged write", outage, 150, 500)
	f.suite.add("reads answered by a leader that was cut off, from before", float64(stale), "reads", atMost(0))
	return nil
}

// powerLosses take the leader's machine away, with all that was not flushed.
func (f *faults) powerLosses(ctx context.Context) error {
	var outage sample
	stale := 0
	for range f.suite.times(100) {
		old, _, took, err := f.fault(ctx, f.site.PowerOff)
		if err != nil {
			return err
		}
		outage = append(outage, took)
		reads, err := f.readFromOld(ctx, old, func() error {
			if err := f.site.PowerOn(old); err != nil {
				return err
			}
			return old.Start()
		})
		if err != nil {
			return err
		}
		stale += reads
		if err := f.level(ctx); err != nil {
			return err
		}
	}
	f.suite.outage("leader's machine loses power, to next acknowledged write", outage, 150, 500)
	f.suite.add("reads answered by a leader that lost power, from before", float64(stale), "reads", atMost(0))
	return nil
}

// followerCuts cut one follower off, longer than any timer, and heal.
func (f *faults) followerCuts(ctx context.Context) error {
	for _, kind := range []struct {
		name string
		cut  func(follower, leader *cluster.Process) error
	}{
		{"from the leader only", func(follower, leader *cluster.Process) error { return f.site.Cut(follower, leader) }},
		{"from all servers", func(follower, _ *cluster.Process) error { return f.site.Cut(follower, f.cluster.Servers...) }},
		{"one way, not heard by the leader", func(follower, leader *cluster.Process) error { return f.site.CutOneWay(follower, leader) }},
		{"one way, not hearing the leader", func(follower, leader *cluster.Process) error { return f.site.CutOneWay(leader, follower) }},
	} {
		changes, longest := uint64(0), time.Duration(0)
		n := f.suite.times(6)
		for trial := range n {
			before, leader, err := f.term(ctx)
			if err != nil {
				return err
			}
			follower := f.followers(leader)[trial%2]
			gap, err := f.gapOver(ctx, func() error {
				if err := kind.cut(follower, leader); err != nil {
					return err
				}
				if err := wait.For(ctx, 1500*time.Millisecond); err != nil {
					return err
				}
				return f.site.Heal(follower)
			})
			if err != nil {
				return err
			}
			longest = max(longest, gap)
			if err := f.level(ctx); err != nil {
				return err
			}
			after, _, err := f.term(ctx)
			if err != nil {
				return err
			}
			changes += after - before
		}
		f.suite.add(fmt.Sprintf("changes of leader, one follower cut off %s and back, %d times", kind.name, n), float64(changes), "changes", atMost(0))
		f.suite.add(fmt.Sprintf("longest gap between acknowledged writes, one follower cut off %s and back", kind.name), milliseconds(longest), "ms", nil)
	}
	return nil
}

// stalls let the leader's disk hang until another one leads, then that of a
// follower for a while.
func (f *faults) stalls(ctx context.Context) error {
	var outage sample
	for range f.suite.times(20) {
		var disk *lab.Disk
		// The stall begins when the kernel has written out what was there before,
		// not when it is asked for.
		_, _, took, err := f.fault(ctx, func(p *cluster.Process) error {
			disk = f.site.Disk(p)
			return disk.Stall()
		})
		if err != nil {
			return err
		}
		outage = append(outage, took)
		if err := disk.Resume(); err != nil {
			return err
		}
		if err := f.level(ctx); err != nil {
			return err
		}
	}
	f.suite.add(fmt.Sprintf("leader's disk stalls, to next acknowledged write, p50 of %d", len(outage)), milliseconds(outage.at(0.5)), "ms", nil)
	f.suite.add(fmt.Sprintf("leader's disk stalls, to next acknowledged write, max of %d", len(outage)), milliseconds(outage.max()), "ms", atMost(1000))

	changes, longest := uint64(0), time.Duration(0)
	n := f.suite.times(6)
	for trial := range n {
		before, leader, err := f.term(ctx)
		if err != nil {
			return err
		}
		disk := f.site.Disk(f.followers(leader)[trial%2])
		gap, err := f.gapOver(ctx, func() error {
			if err := disk.Stall(); err != nil {
				return err
			}
			if err := wait.For(ctx, 1500*time.Millisecond); err != nil {
				return err
			}
			return disk.Resume()
		})
		if err != nil {
			return err
		}
		longest = max(longest, gap)
		if err := f.level(ctx); err != nil {
			return err
		}
		after, _, err := f.term(ctx)
		if err != nil {
			return err
		}
		changes += after - before
	}
	f.suite.add(fmt.Sprintf("changes of leader, a follower's disk stalls for 1.5 s, %d times", n), float64(changes), "changes", atMost(0))
	f.suite.add("longest gap between acknowledged writes, a follower's disk stalls for 1.5 s", milliseconds(longest), "ms", nil)
	return nil
}

// term returns the term that the leader leads in.
func (o *outages) term(ctx context.Context) (uint64, *cluster.Process, error) {
	leader, err := o.cluster.Leader(ctx)
	if err != nil {
		return 0, nil, err
	}
	// A linearizable read is answered in the term of the one who leads.
	read, err := o.client.GetState(ctx, &argosyv1.GetStateRequest{OmitWorkloads: true, OmitStates: true, OmitAgents: true})
	if err != nil {
		return 0, nil, err
	}
	return read.GetHeader().GetTerm(), leader, nil
}

func (o *outages) followers(leader *cluster.Process) []*cluster.Process {
	var rest []*cluster.Process
	for _, p := range o.cluster.Servers {
		if p != leader {
			rest = append(rest, p)
		}
	}
	return rest
}
