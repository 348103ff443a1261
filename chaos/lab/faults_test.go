package lab_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/load"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// world is a cluster of three servers on a site, under a load.
type world struct {
	*testing.T
	site    *lab.Site
	cluster *cluster.Cluster
	load    *load.Load
}

// mustWorld starts one. Its times are stretched: tests share the machine, and
// what they prove hangs on no time.
func mustWorld(t *testing.T) *world {
	t.Helper()
	return mustWorldOn(t, lab.SiteConfig{DiskSize: 64 << 20})
}

func mustWorldOn(t *testing.T, on lab.SiteConfig, arguments ...string) *world {
	t.Helper()
	dir := t.TempDir()
	site, err := lab.NewSite(dir, on)
	if errors.Is(err, lab.ErrUnable) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, site.Close()) })
	config := cluster.Config{
		Dir: dir, StartTimeout: patience, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		ServerArgs:  append([]string{"--timing-multiplier", "5"}, arguments...),
		Environment: []string{"GORACE=" + strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0")},
	}
	site.Use(&config)
	c, err := cluster.New(config)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() && os.Getenv("ARGOSY_TEST_LOG") != "" {
			for _, p := range c.Servers {
				// It says where it hangs.
				if p.Signal(syscall.SIGQUIT) == nil {
					<-p.Done()
				}
			}
		}
		must(t, c.Close())
		if err := c.Crashes(); err != nil {
			t.Error(err)
		}
		if t.Failed() && os.Getenv("ARGOSY_TEST_LOG") != "" {
			for _, p := range c.Servers {
				text, _ := os.ReadFile(p.LogPath)
				t.Logf("--- %s\n%s", p.Name, text)
			}
		}
	})
	must(t, c.Start(t.Context()))
	l, err := load.Start(t.Context(), c, 6, patience)
	must(t, err)
	t.Cleanup(l.Stop)
	w := &world{T: t, site: site, cluster: c, load: l}
	w.goesOn()
	return w
}

// goesOn waits until many more writes were acknowledged.
func (w *world) goesOn() {
	w.Helper()
	from := w.load.Acknowledged()
	eventually(w.T, "writes to go on", func() error {
		must(w.T, w.load.Wrong())
		if n := w.load.Acknowledged() - from; n < 100 {
			return fmt.Errorf("%d writes were acknowledged", n)
		}
		return nil
	})
}

func (w *world) leader() *cluster.Process {
	w.Helper()
	leader, err := w.cluster.Leader(w.Context())
	must(w.T, err)
	return leader
}

func (w *world) follower() *cluster.Process {
	w.Helper()
	leader := w.leader()
	for _, p := range w.cluster.Servers {
		if p != leader {
			return p
		}
	}
	w.Fatal("nobody follows")
	return nil
}

// catchesUp waits until a server has applied what was written before. One that
// ended in order, for it could not go on, is started again, as by a supervisor.
func (w *world) catchesUp(p *cluster.Process) {
	w.Helper()
	response, err := mustClient(w.T, w.cluster).GetWorkload(w.Context(), &argosyv1.GetWorkloadRequest{Name: w.load.Names()[0]})
	must(w.T, err)
	own := mustClient(w.T, w.cluster, p)
	eventually(w.T, p.Name+" to catch up", func() error {
		if !p.Running() {
			return errors.Join(errors.New("it did not run"), p.Start())
		}
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		status, err := own.Status(ctx)
		if err == nil && status.GetHeader().GetRevision() < response.GetHeader().GetRevision() {
			err = fmt.Errorf("it is at revision %d, the others were at %d", status.GetHeader().GetRevision(), response.GetHeader().GetRevision())
		}
		return err
	})
}

// ask lets somebody ask a server at once, who waits for the answer until the
// function that is returned is called: an error is as good an answer as any, but
// nothing from before.
func (w *world) ask(p *cluster.Process) (answered func()) {
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	var asked sync.WaitGroup
	for i := range 8 {
		begun := make(chan struct{})
		asked.Go(func() {
			close(begun)
			_ = w.load.Read(ctx, p, i)
		})
		<-begun
	}
	return func() { asked.Wait(); cancel() }
}

// ends checks everything in the end.
func (w *world) ends() {
	w.Helper()
	must(w.T, w.cluster.WaitReady(w.Context()))
	w.goesOn()
	must(w.T, w.load.End(w.Context()))
	must(w.T, w.cluster.WaitLevel(w.Context()))
	must(w.T, w.cluster.OneLeaderATerm())
	w.Logf("%d writes, %d reads", w.load.Acknowledged(), w.load.Reads())
}

func TestALeaderThatIsCutOffAnswersNothingFromBefore(t *testing.T) {
	for _, way := range []struct {
		name string
		cut  func(*world, *cluster.Process) error
	}{
		{"both ways", func(w *world, p *cluster.Process) error { return w.site.Cut(p, w.cluster.Servers...) }},
		{"it is not heard", func(w *world, p *cluster.Process) error { return w.site.CutOneWay(p, w.cluster.Servers...) }},
		{"it hears nothing", func(w *world, p *cluster.Process) error {
			for _, other := range w.cluster.Servers {
				if err := w.site.CutOneWay(other, p); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			w := mustWorld(t)
			old := w.leader()
			must(t, way.cut(w, old))
			w.goesOn()
			answered := w.ask(old)
			w.goesOn()
			must(t, w.site.Heal())
			answered()
			w.ends()
		})
	}
}

func TestAFollowerThatIsCutOffLeavesTheLeaderAlone(t *testing.T) {
	for _, from := range []string{"the leader", "all"} {
		t.Run("from "+from, func(t *testing.T) {
			t.Parallel()
			w := mustWorld(t)
			leader, follower := w.leader(), w.follower()
			before := w.term()
			if from == "all" {
				must(t, w.site.Cut(follower, w.cluster.Servers...))
			} else {
				must(t, w.site.Cut(follower, leader))
			}
			// It has seen that it hears nothing, and tried what it can.
			lonely := mustClient(t, w.cluster, follower)
			eventually(t, "the follower to miss its leader", func() error {
				status, err := lonely.Status(t.Context())
				if err == nil && status.GetNoLeaderReason() == "" {
					err = errors.New("it knows a leader")
				}
				return err
			})
			w.goesOn()
			must(t, w.site.Heal())
			w.ends()
			if after := w.term(); after != before {
				t.Errorf("the term was %d, it is %d", before, after)
			}
		})
	}
}

func (w *world) term() uint64 {
	w.Helper()
	state, err := mustClient(w.T, w.cluster).GetState(w.Context(), &argosyv1.GetStateRequest{OmitWorkloads: true, OmitStates: true, OmitAgents: true})
	must(w.T, err)
	return state.GetHeader().GetTerm()
}

func mustClient(t *testing.T, c *cluster.Cluster, servers ...*cluster.Process) *client.Client {
	t.Helper()
	var endpoints []string
	for _, p := range servers {
		endpoints = append(endpoints, p.Endpoint())
	}
	cl, err := c.Client(client.Config{Endpoints: endpoints, Timeout: patience})
	must(t, err)
	t.Cleanup(func() { _ = cl.Close() })
	return cl
}

func TestPowerLossLosesNothingThatWasAcknowledged(t *testing.T) {
	for _, who := range []string{"the leader", "all servers"} {
		t.Run("of "+who, func(t *testing.T) {
			t.Parallel()
			w := mustWorld(t)
			lost := w.cluster.Servers
			if who == "the leader" {
				lost = []*cluster.Process{w.leader()}
			}
			for _, p := range lost {
				must(t, w.site.PowerOff(p))
			}
			if len(lost) == 1 {
				w.goesOn()
			}
			for _, p := range lost {
				must(t, w.site.PowerOn(p))
				must(t, p.Start())
			}
			w.ends()
		})
	}
}

func TestADiskThatStallsOrFillsUpStopsNobodyElse(t *testing.T) {
	for _, fault := range []struct {
		name      string
		hit, mend func(*lab.Disk) error
	}{
		{"stalls", (*lab.Disk).Stall, (*lab.Disk).Resume},
		{"fills up", (*lab.Disk).Fill, (*lab.Disk).Empty},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			w := mustWorld(t)
			leader := w.leader()
			disk := w.site.Disk(leader)
			must(t, fault.hit(disk))
			w.goesOn()
			must(t, fault.mend(disk))
			w.catchesUp(leader)
			w.ends()
		})
	}
}

func TestAClusterLosesNothingOnABadNetwork(t *testing.T) {
	t.Parallel()
	w := mustWorldOn(t, lab.SiteConfig{DiskSize: 64 << 20, Shaped: true})
	must(t, w.site.ShapeAll(lab.Link{Delay: 5 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.05, Duplicate: 0.05, Reorder: 0.05}))
	w.goesOn()
	old := w.leader()
	must(t, w.site.Cut(old, w.cluster.Servers...))
	w.goesOn()
	answered := w.ask(old)
	must(t, w.site.Heal())
	answered()
	w.ends()
}

func TestALeaderInABlackHoleStopsNobodyElse(t *testing.T) {
	t.Parallel()
	w := mustWorldOn(t, lab.SiteConfig{DiskSize: 64 << 20, Shaped: true})
	// What keeps a leader a leader is small and passes; what it has to tell others
	// does not.
	old := w.leader()
	for _, p := range w.cluster.Servers {
		if p != old {
			must(t, w.site.Shape(old, p, lab.Link{MaxSize: 200}))
		}
	}
	w.goesOn()
	must(t, w.site.Heal(old))
	w.ends()
}
