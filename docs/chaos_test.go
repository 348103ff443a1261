// Package docs_test keeps what the pages for operators list equal to what there
// is.
package docs_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/ledger"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/selftest"
)

var update = flag.Bool("update", false, "write what there is into the pages")

const page = "chaos.md"

// TestTheListsOfThePageAreCurrent compares each list of the page with what it is
// made of.
func TestTheListsOfThePageAreCurrent(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	current := string(text)
	for name, list := range map[string]string{
		"promises": promises(), "faults": faults(), "profiles": profiles(), "planted": bugs(), "ledger": account(t),
	} {
		begin, end := fmt.Sprintf("<!-- begin: %s (made by: go test ./docs -update) -->\n", name), fmt.Sprintf("<!-- end: %s -->", name)
		before, rest, began := strings.Cut(current, begin)
		has, after, ended := strings.Cut(rest, end)
		if !began || !ended {
			t.Fatalf("%s has no list of %s between %q and %q", page, name, begin, end)
		}
		if has != list && !*update {
			t.Errorf("the list of %s in %s is not current: run go test ./docs -update; it has\n%s\nand should have\n%s", name, page, has, list)
		}
		current = before + begin + list + end + after
	}
	if *update {
		if err := os.WriteFile(page, []byte(current), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEveryFaultIsOfAKindThatPlansHave keeps faults and plans together.
func TestEveryFaultIsOfAKindThatPlansHave(t *testing.T) {
	for _, f := range fault.All() {
		if !f.Kind.Known() {
			t.Errorf("no plan has %s", f.Kind)
		}
	}
}

func promises() string {
	out := table("", "promise")
	for _, c := range check.All() {
		out += line(c.Invariant, c.What)
	}
	return out
}

func faults() string {
	out := table("fault", "what is done")
	for _, f := range fault.All() {
		out += line("`"+string(f.Kind)+"`", f.What)
	}
	return out
}

func profiles() string {
	out := table("profile", "faults for", "what for")
	for _, p := range plan.Profiles() {
		out += line("`"+p.Name+"`", p.Duration.String(), p.What)
	}
	return out
}

func bugs() string {
	out := table("planted bug", "what goes wrong", "must be found by")
	for _, c := range selftest.Cases() {
		out += line("`"+string(c.Bug)+"`", c.What, strings.Join(c.Invariants, " or "))
	}
	return out
}

// account is what the committed ledger adds up to.
func account(t *testing.T) string {
	soaks, err := ledger.Read(filepath.Join("..", ledger.File))
	if err != nil {
		t.Fatal(err)
	}
	if len(soaks) == 0 {
		return "There was no soak yet.\n"
	}
	all, counted := ledger.Total(soaks), ledger.Total(ledger.SinceViolation(soaks))
	out := table("what", "in all", "counts", "goal", "")
	for i, g := range counted.Goals() {
		reached := "reached"
		if !g.Reached() {
			reached = "**not reached**"
		}
		out += line(g.What, ledger.Figure(all.Goals()[i].Has, g.Unit), ledger.Figure(g.Has, g.Unit), ledger.Figure(g.Wants, g.Unit), reached)
	}
	if len(all.Real.Faults) == 0 {
		return out
	}
	out += "\n" + table("outage of writes, ms", "faults", "p50", "p99", "longest")
	for _, kind := range slices.Sorted(maps.Keys(all.Real.Faults)) {
		o, measured := all.Outages[kind]
		if !measured {
			out += line("`"+kind+"`", fmt.Sprint(all.Real.Faults[kind]), "", "", "")
			continue
		}
		out += line("`"+kind+"`", fmt.Sprint(all.Real.Faults[kind]), ledger.Ms(o.P50), ledger.Ms(o.P99), ledger.Ms(o.Max))
	}
	return out
}

func table(heads ...string) string {
	return line(heads...) + "|" + strings.Repeat("---|", len(heads)) + "\n"
}

func line(cells ...string) string {
	return "| " + strings.Join(cells, " | ") + " |\n"
}
