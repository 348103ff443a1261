package fsm_test

import (
	"fmt"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Nothing is applied while a snapshot is taken: it must not cost more for a large
// state. What is counted is what it allocates, and not the time.
func TestTakingASnapshotCostsTheSameForAnyState(t *testing.T) {
	cost := func(rows int) float64 {
		m := mustNew(t)
		entry := &argosyv1.Entry{}
		for i := range rows {
			entry.Mutations = append(entry.Mutations, &argosyv1.Mutation{Kind: &argosyv1.Mutation_Put{
				Put: &argosyv1.PutRow{Kind: workload, Key: fmt.Sprint("w", i), Group: "a", Value: make([]byte, 100)}}})
		}
		if err := apply(m, 1, mustEncode(t, entry)); err != nil {
			t.Fatal(err)
		}
		return testing.AllocsPerRun(100, func() {
			if _, err := m.Snapshot(); err != nil {
				t.Fatal(err)
			}
		})
	}
	if small, large := cost(10), cost(20_000); large > small || small > 10 {
		t.Errorf("%v allocations for 10 rows, %v for 20,000", small, large)
	}
}
