package report

import (
	"fmt"
	"html/template"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/argosy-cluster/argosy/chaos/ledger"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// outageRow is a line of the table of outages.
type outageRow struct {
	Kind, Class string
	ledger.Outage
	// Goal, and whether it was reached: empty when there is none.
	Goal, Reached string
	Strip         template.HTML
}

// outageRows returns the outages by kind, the longest first, and the kinds of
// which there are none.
func outageRows(s *Summary) (rows []outageRow, unmeasured []string) {
	for kind, o := range s.OutageMs {
		r := outageRow{Kind: kind, Class: classes[kind], Outage: o, Strip: strip(s.Outages[kind])}
		if bound, is := ledger.Bounds[plan.Kind(kind)]; is {
			r.Goal = bound.String()
			// Virtual time says nothing of how fast a machine is.
			if r.Reached = "reached"; s.Simulated {
				r.Reached = ""
			} else if !bound.Keeps(o) {
				r.Reached = "missed"
			}
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b outageRow) int {
		if a.Max != b.Max {
			return -int(math.Copysign(1, a.Max-b.Max))
		}
		return strings.Compare(a.Kind, b.Kind)
	})
	for _, kind := range slices.Sorted(maps.Keys(s.Faults)) {
		if _, is := s.OutageMs[kind]; !is {
			unmeasured = append(unmeasured, kind)
		}
	}
	return rows, unmeasured
}

// strip draws each outage as a point, from 1 ms to 100 s by powers of ten.
func strip(ms []float64) template.HTML {
	at := func(v float64) float64 { return 4 + 192*math.Log10(min(max(v, 1), 1e5))/5 }
	out := &strings.Builder{}
	out.WriteString(`<svg class="strip" viewBox="0 0 200 16" role="img" aria-label="each outage as a point, 1 ms to 100 s">`)
	for v := 1.0; v <= 1e5; v *= 10 {
		fmt.Fprintf(out, `<path class="decade" d="M%.1f 0V16"><title>%s</title></path>`, at(v), msMark(v))
	}
	drawn := map[string]bool{}
	for _, v := range ms {
		// Points on top of each other are one.
		if x := fmt.Sprintf("%.0f", at(v)); !drawn[x] {
			drawn[x] = true
			fmt.Fprintf(out, `<circle cx="%s" cy="8" r="3"><title>%s</title></circle>`, x, msText(v))
		}
	}
	out.WriteString(`</svg>`)
	return template.HTML(out.String())
}

// latencyRow is a line of the table of latencies.
type latencyRow struct {
	What string
	ledger.Outage
}

func latencyRows(s *Summary) []latencyRow {
	var rows []latencyRow
	for _, what := range []string{writes, reads, staleReads} {
		if p, is := s.LatencyMs[what]; is {
			rows = append(rows, latencyRow{what, p})
		}
	}
	if s.ConvergenceMs != nil {
		rows = append(rows, latencyRow{"agents back after the end of a fault", *s.ConvergenceMs})
	}
	return rows
}
