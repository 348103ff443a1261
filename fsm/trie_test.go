package fsm

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// TestATrieHoldsWhatAMapHolds changes a trie and a map alike, with hashes of
// all kinds of likeness, and looks at the present and at older states.
func TestATrieHoldsWhatAMapHolds(t *testing.T) {
	for name, hash := range map[string]func(n int) uint64{
		"spread":         func(n int) uint64 { return uint64(n) * 0x9e3779b97f4a7c15 },
		"all the same":   func(int) uint64 { return 77 },
		"same beginning": func(n int) uint64 { return uint64(n) << 58 },
		"few":            func(n int) uint64 { return uint64(n%3) * 0x9e3779b97f4a7c15 },
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			type held struct {
				trie  trie
				model map[int]*Row
			}
			var now trie
			model := map[int]*Row{}
			var old []held
			for transaction := uint64(1); transaction <= 200; transaction++ {
				for range random.IntN(10) {
					n := random.IntN(120)
					row := &Row{id: fmt.Appendf(nil, "%d", n), hash: hash(n)}
					if random.IntN(3) == 0 {
						now.remove(transaction, row.id, row.hash)
						delete(model, n)
					} else {
						now.insert(transaction, row)
						model[n] = row
					}
				}
				old = append(old, held{now, maps.Clone(model)})
			}
			for i, h := range old {
				if h.trie.rows != len(h.model) {
					t.Fatalf("state %d counts %d rows, has %d", i, h.trie.rows, len(h.model))
				}
				for n := range 120 {
					if got := h.trie.find(fmt.Appendf(nil, "%d", n), hash(n)); got != h.model[n] {
						t.Fatalf("state %d has %v under %d, want %v", i, got, n, h.model[n])
					}
				}
				seen := map[*Row]bool{}
				h.trie.root.all(func(row *Row) bool { seen[row] = true; return true })
				if len(seen) != len(h.model) {
					t.Fatalf("state %d yields %d rows, has %d", i, len(seen), len(h.model))
				}
			}
			for n := range 120 {
				now.remove(1000, fmt.Appendf(nil, "%d", n), hash(n))
			}
			if now.rows != 0 || now.root != nil {
				t.Errorf("%d rows are left, root %v", now.rows, now.root)
			}
		})
	}
}

// TestATransactionCopiesANodeOnce counts what an entry of many changes costs.
func TestATransactionCopiesANodeOnce(t *testing.T) {
	var table trie
	rows := make([]*Row, 256)
	for n := range rows {
		rows[n] = &Row{id: fmt.Appendf(nil, "%d", n)}
		table.put(1, rows[n])
	}
	transaction := uint64(1)
	allocations := testing.AllocsPerRun(20, func() {
		transaction++
		for _, row := range rows {
			table.put(transaction, row)
		}
	})
	// The root and its 32 nodes, two allocations each, and a few below them; not
	// two for each of 256 rows.
	if allocations > 200 {
		t.Errorf("%v allocations to write 256 rows", allocations)
	}
}
