package reconcile

import (
	"context"
	"fmt"
	"testing"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/runtimetest/fake"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// BenchmarkEvent shows that an event costs the same whatever the number of
// workloads.
func BenchmarkEvent(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			cfg := DefaultConfig()
			cfg.Agent = "node1"
			m, err := New(cfg, []runtime.Runtime{fake.New("pods")}, nil)
			if err != nil {
				b.Fatal(err)
			}
			m.running, m.vouched, m.usable["pods"], m.work = true, true, true, context.Background()
			for i := range n {
				w := workload(fmt.Sprintf("w%d", i))
				s := m.slot(w.GetName())
				m.want(s, w, true)
				m.event(m.hosts["pods"], runtime.Event{Instance: runtime.Instance{Name: argosyv1.InstanceOf(w), Status: runtime.StatusRunning}})
			}
			name := argosyv1.InstanceOf(workload("w7"))
			for i := 0; b.Loop(); i++ {
				status := runtime.StatusRunning
				if i%2 == 0 {
					status = runtime.StatusUnknown
				}
				m.event(m.hosts["pods"], runtime.Event{Instance: runtime.Instance{Name: name, Status: status}})
			}
		})
	}
}
