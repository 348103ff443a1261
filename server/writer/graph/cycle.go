package graph

import (
	"fmt"
	"slices"
	"strings"
)

// mostNamed is how many workloads of a cycle its text names.
const mostNamed = 16

// CycleError is returned when workloads would depend on themselves.
type CycleError struct {
	// Path are the names on the way round, each depending on the next and the last
	// on the first.
	Path []string
}

// Error names the cycle, beginning with the name that is first in order.
func (e *CycleError) Error() string {
	round := slices.Clone(e.Path)
	least := slices.Index(round, slices.Min(round))
	round = append(round[least:], round[:least]...)
	first := round[0]
	if more := len(round) - mostNamed; more > 0 {
		round = append(round[:mostNamed], fmt.Sprintf("(%d more)", more))
	}
	return fmt.Sprintf("workload dependency '%s' is part of a cycle. The cycle is %s -> %s; leave one of these dependencies out",
		first, strings.Join(round, " -> "), first)
}
