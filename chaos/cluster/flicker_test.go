package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// failOvers is how often the leader goes in the test of flickering.
const failOvers = 10

// witness watches everything at one server for as long as it can, again and
// again, and keeps everything that it was told and should not have been.
type witness struct {
	address string
	want    map[string]string // state of each workload

	mu        sync.Mutex
	wrong     []string
	snapshots int
}

func (w *witness) accuse(format string, args ...any) {
	if len(w.wrong) < 20 {
		w.wrong = append(w.wrong, fmt.Sprintf("%s: ", w.address)+fmt.Sprintf(format, args...))
	}
}

func (w *witness) follow(ctx context.Context, cl *client.Client) {
	for ctx.Err() == nil {
		known := map[string]bool{}
		// The server may be down for a while: then the watch begins again.
		_ = cl.Watch(ctx, &argosyv1.WatchRequest{}, func(m *argosyv1.WatchResponse) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if m.GetSnapshotBegin() {
				clear(known)
			}
			for _, s := range m.GetStates() {
				name := s.GetInstance().GetWorkload()
				known[name] = true
				if got := s.GetExecution().Text(); got != w.want[name] {
					w.accuse("%s is %s, not %s", name, got, w.want[name])
				}
			}
			for _, a := range m.GetAgents() {
				if !a.GetConnected() {
					w.accuse("agent %s is not connected", a.GetName())
				}
			}
			if m.GetSnapshotEnd() {
				w.snapshots++
				if len(known) != len(w.want) {
					w.accuse("a snapshot has states of %d workloads, not %d", len(known), len(w.want))
				}
			}
			return nil
		})
	}
}

// A new leader begins with what the one before knew: whoever watches, at
// whichever server, sees no state change because the leader did, and no agent
// that is connected shown as lost.
func TestNoStateFlickersOverTenFailOvers(t *testing.T) {
	t.Parallel()
	x := mustTroupe(t, cluster.Config{Servers: 3})
	want := map[string]string{}
	for name, state := range x.instances {
		want[name] = state.Text()
	}
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	var witnesses []*witness
	for _, address := range x.cluster.Endpoints() {
		w := &witness{address: address, want: want}
		witnesses = append(witnesses, w)
		cl := mustClient(t, x.cluster, address)
		watching.Go(func() { w.follow(ctx, cl) })
	}
	eventually(t, "watches everywhere", func() error {
		for _, w := range witnesses {
			w.mu.Lock()
			began := w.snapshots > 0
			w.mu.Unlock()
			if !began {
				return errors.New("not all watches have begun")
			}
		}
		return nil
	})
	for i := range failOvers {
		leader := mustLeader(t, x.cluster)
		if i%2 == 0 {
			must(t, leader.Kill())
		} else {
			mustStop(t, leader)
		}
		eventually(t, "another leader", func() error {
			next, err := x.cluster.Leader(t.Context())
			if err == nil && next == leader {
				err = errors.New("it is not noticed yet")
			}
			return err
		})
		must(t, leader.Start())
		must(t, x.cluster.WaitReady(t.Context()))
		must(t, x.cluster.WaitLevel(t.Context()))
	}
	cancel()
	watching.Wait()
	snapshots := 0
	for _, w := range witnesses {
		for _, wrong := range w.wrong {
			t.Error(wrong)
		}
		snapshots += w.snapshots
	}
	if snapshots < failOvers {
		t.Errorf("%d snapshots in all: watches did not lose their servers", snapshots)
	}
	x.mustBeUntouched(t)
}
