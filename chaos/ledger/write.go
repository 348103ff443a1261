package ledger

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/argosy-cluster/argosy/chaos/plan"
)

// Write tells people what soaks add up to, against what is aimed at.
func Write(w io.Writer, soaks []Soak) error {
	all, since := Total(soaks), Total(SinceViolation(soaks))
	out := &strings.Builder{}
	fmt.Fprintf(out, "%s: %s on real processes (%s, %.0f min), %s in virtual time (%g h)\n",
		count(int64(len(soaks)), "soak"), count(all.Real.Soaks, "soak"), count(all.Real.Trials, "trial"), all.Real.Minutes,
		count(all.Simulated.Soaks, "soak"), all.VirtualHours)
	if wrong := all.Real.Wrong() + all.Simulated.Wrong(); wrong > 0 {
		fmt.Fprintf(out, "%s were found:%s; what counts is what was tried after the last of them was mended\n",
			count(wrong, "violation"), byName(merge(all.Real.Violations, all.Simulated.Violations)))
	}
	fmt.Fprintln(out)
	writeGoals(out, all.Goals(), since.Goals())
	writeFaults(out, all)
	_, err := io.WriteString(w, out.String())
	return err
}

func writeGoals(w io.Writer, all, since []Goal) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tIN ALL\tCOUNTS\tGOAL\t")
	for i, g := range since {
		mark := "reached"
		if !g.Reached() {
			mark = "not reached"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", g.What, Figure(all[i].Has, g.Unit), Figure(g.Has, g.Unit), Figure(g.Wants, g.Unit), mark)
	}
	// It writes to memory.
	_ = table.Flush()
}

func writeFaults(w io.Writer, t Totals) {
	kinds := merge(t.Real.Faults, t.Simulated.Faults)
	if len(kinds) == 0 {
		return
	}
	fmt.Fprintln(w, "\nOutage of writes in ms, the worst of any soak:")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FAULT\tREAL\tSIMULATED\tP50\tP99\tMAX\tGOAL\t")
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(table, "%s\t%d\t%d\t", kind, t.Real.Faults[kind], t.Simulated.Faults[kind])
		o, measured := t.Outages[kind]
		if !measured {
			fmt.Fprint(table, "-\t-\t-\t")
		} else {
			fmt.Fprintf(table, "%s\t%s\t%s\t", Ms(o.P50), Ms(o.P99), Ms(o.Max))
		}
		bound, bounded := Bounds[plan.Kind(kind)]
		mark := ""
		if bounded && measured {
			if mark = "reached"; !bound.Keeps(o) {
				mark = "not reached"
			}
		}
		fmt.Fprintf(table, "%s\t%s\n", bound, mark)
	}
	_ = table.Flush()
}

// String tells the bound as people read it.
func (b Bound) String() string {
	var parts []string
	for _, p := range []struct {
		name string
		ms   float64
	}{{"p50", b.P50}, {"p99", b.P99}, {"max", b.Max}} {
		if p.ms > 0 {
			parts = append(parts, fmt.Sprintf("%s %g", p.name, p.ms))
		}
	}
	return strings.Join(parts, ", ")
}

// Ms writes milliseconds with three digits that matter.
func Ms(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Figure writes what a goal has or wants.
func Figure(v float64, unit string) string {
	if unit == "" {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func byName(counts map[string]int64) string {
	out := ""
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		out += fmt.Sprintf(" %s %d", name, counts[name])
	}
	return out
}

func merge(a, b map[string]int64) map[string]int64 {
	merged := maps.Clone(a)
	for name, n := range b {
		merged[name] += n
	}
	return merged
}
