package observed

import (
	"fmt"
	"slices"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const benchWorkloads = 10000

func bench(b *testing.B) (*Store, *Lead, []*argosyv1.Workload, []*argosyv1.WorkloadState) {
	b.Helper()
	s, err := New(DefaultConfig())
	if err != nil {
		b.Fatal(err)
	}
	l, err := s.Lead(1)
	if err != nil {
		b.Fatal(err)
	}
	var desired []*argosyv1.Workload
	var states []*argosyv1.WorkloadState
	config := string(make([]byte, 1024))
	for i := range benchWorkloads {
		w := workload(fmt.Sprintf("w%d", i), "a", config)
		desired = append(desired, w)
		states = append(states, &argosyv1.WorkloadState{Instance: argosyv1.InstanceOf(w), Execution: running})
	}
	return s, l, desired, states
}

// BenchmarkFullReport is what a fail-over costs the new leader for an agent of
// 10,000 workloads of which nothing changed.
func BenchmarkFullReport(b *testing.B) {
	_, l, _, states := bench(b)
	for b.Loop() {
		if _, err := l.Report("a", true, states); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStates is what users see of 10,000 workloads, half of which an agent
// spoke of.
func BenchmarkStates(b *testing.B) {
	s, l, desired, states := bench(b)
	if _, err := l.Report("a", true, states[:benchWorkloads/2]); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if got := s.States(slices.Values(desired)); len(got) != benchWorkloads {
			b.Fatal(len(got))
		}
	}
}

// BenchmarkStatesOf is the same of one workload among 10,000.
func BenchmarkStatesOf(b *testing.B) {
	s, l, desired, states := bench(b)
	if _, err := l.Report("a", true, states); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if got := s.StatesOf("w77", desired[77]); len(got) != 1 {
			b.Fatal(len(got))
		}
	}
}
