package graph

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// check says what is wrong with the line: one that stands before what it needs.
func (g *Graph) check() error {
	seen := map[string]bool{}
	for n := g.line.first; n != nil; n = n.after {
		if g.nodes[n.name] != n || len(n.needs)+len(n.neededBy) == 0 {
			return fmt.Errorf("%s stands in the line for nothing", n.name)
		}
		for _, e := range n.needs {
			if !seen[e.to.name] || e.to.label >= n.label || e.to.neededBy[e.at] != e {
				return fmt.Errorf("%s stands before %s, which it needs", n.name, e.to.name)
			}
		}
		seen[n.name] = true
	}
	if len(seen) != len(g.nodes) {
		return fmt.Errorf("%d of %d are in the line", len(seen), len(g.nodes))
	}
	return nil
}

// naive is a graph that is looked at as a whole each time.
type naive map[string][]string

func (m naive) cyclic() bool {
	const under, done = 1, 2
	state := map[string]int{}
	var visit func(string) bool
	visit = func(name string) bool {
		if state[name] != 0 {
			return state[name] == under
		}
		state[name] = under
		if slices.ContainsFunc(m[name], visit) {
			return true
		}
		state[name] = done
		return false
	}
	for name := range m {
		if visit(name) {
			return true
		}
	}
	return false
}

func (m naive) with(changes []Change) naive {
	next := naive{}
	for name, needs := range m {
		next[name] = needs
	}
	for _, c := range changes {
		next[c.Name] = c.Needs
	}
	return next
}

func (m naive) all() []Change {
	var all []Change
	for name, needs := range m {
		all = append(all, Change{name, needs})
	}
	return all
}

func isCycle(m naive, path []string) bool {
	for i, name := range path {
		if !slices.Contains(m[name], path[(i+1)%len(path)]) {
			return false
		}
	}
	return len(path) > 0
}

func TestItAgreesWithALookAtTheWholeGraph(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := make([]string, rapid.IntRange(2, 12).Draw(t, "workloads"))
		for i := range names {
			names[i] = fmt.Sprintf("w%d", i)
		}
		g, model := New(), naive{}
		for range rapid.IntRange(1, 60).Draw(t, "writes") {
			changes := drawChanges(t, names)
			next := model.with(changes)
			undo, err := g.Replace(changes)
			if (err != nil) != next.cyclic() {
				t.Fatalf("%v on %v: %v", changes, model, err)
			}
			var cycle *CycleError
			if errors.As(err, &cycle) {
				if !isCycle(next, cycle.Path) {
					t.Fatalf("%v is no cycle of %v", cycle.Path, next)
				}
				// Another history, the same answer.
				if _, again := Load(model.all()).Replace(changes); again == nil || again.Error() != err.Error() {
					t.Fatalf("one says %q, another %q", err, again)
				}
			} else if rapid.IntRange(0, 3).Draw(t, "undo") == 0 {
				undo()
			} else {
				model = next
			}
			if err := g.check(); err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if have, want := g.Needs(name), sorted(model[name]); !slices.Equal(have, want) {
					t.Fatalf("%s needs %v, want %v", name, have, want)
				}
			}
		}
	})
}

func drawChanges(t *rapid.T, names []string) []Change {
	changed := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 4, rapid.ID).Draw(t, "changed")
	var changes []Change
	for _, name := range changed {
		changes = append(changes, Change{name, rapid.SliceOfN(rapid.SampledFrom(names), 0, 3).Draw(t, "needs")})
	}
	return changes
}

func TestWhatIsStoredWithACycleStillServes(t *testing.T) {
	g := Load([]Change{{"a", []string{"b"}}, {"b", []string{"c"}}, {"c", []string{"a"}}, {"d", []string{"d", "a"}}})
	if err := g.check(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Replace([]Change{{"x", []string{"a"}}}); err != nil {
		t.Fatalf("a workload that has no part in the cycle was refused: %v", err)
	}
	if _, err := g.Replace([]Change{{"c", []string{"a"}}}); err == nil {
		t.Fatal("the cycle was accepted anew")
	}
	if _, err := g.Replace([]Change{{"c", nil}}); err != nil {
		t.Fatalf("the cycle could not be opened: %v", err)
	}
}

func TestACycleIsNamed(t *testing.T) {
	many := make([]Change, 40)
	for i := range many {
		many[i] = Change{fmt.Sprintf("w%02d", i), []string{fmt.Sprintf("w%02d", (i+1)%len(many))}}
	}
	for name, c := range map[string]struct {
		there, changes []Change
		want           string
	}{
		"of itself":       {nil, []Change{{"a", []string{"b", "a"}}}, "'a' is part of a cycle. The cycle is a -> a;"},
		"of two":          {[]Change{{"a", []string{"b"}}}, []Change{{"b", []string{"a"}}}, "'a' is part of a cycle. The cycle is a -> b -> a;"},
		"both new":        {nil, []Change{{"b", []string{"a"}}, {"a", []string{"b"}}}, "The cycle is a -> b -> a;"},
		"the first way":   {[]Change{{"a", []string{"d", "c"}}, {"c", []string{"z"}}, {"d", []string{"z"}}}, []Change{{"z", []string{"a"}}}, "The cycle is a -> c -> z -> a;"},
		"of many":         {nil, many, "w15 -> (24 more) -> w00;"},
		"a turned around": {[]Change{{"a", []string{"b"}}, {"b", []string{"c"}}}, []Change{{"c", []string{"a"}}, {"a", nil}, {"b", []string{"c"}}, {"d", []string{"d"}}}, "The cycle is d -> d;"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(c.there).Replace(c.changes)
			if err == nil || !strings.HasPrefix(err.Error(), "workload dependency '") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestPlacesThatAreUsedUpAreNumberedAnew(t *testing.T) {
	g := New()
	mustReplace(t, g, Change{"z", []string{"a"}})
	// Each is moved to the place right behind a.
	for i := range 200 {
		name := fmt.Sprintf("w%03d", i)
		mustReplace(t, g, Change{name, []string{"x" + name}})
		mustReplace(t, g, Change{"a", []string{name}})
	}
	if err := g.check(); err != nil {
		t.Fatal(err)
	}
	// All nodes at the front have to make room.
	g.line.first.label = 1
	mustReplace(t, g, Change{"z", []string{"a", "new"}})
	if err := g.check(); err != nil {
		t.Fatal(err)
	}
}

func mustReplace(t testing.TB, g *Graph, changes ...Change) {
	t.Helper()
	if _, err := g.Replace(changes); err != nil {
		t.Fatal(err)
	}
}

func TestReferencesAreThoseOfTheNewestWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, model := NewReferences(), map[string][]string{}
		keys, names := []string{"k0", "k1", "k2"}, []string{"a", "b", "c", "d"}
		for range rapid.IntRange(1, 30).Draw(t, "writes") {
			name := rapid.SampledFrom(names).Draw(t, "name")
			used := rapid.SliceOfN(rapid.SampledFrom(keys), 0, 3).Draw(t, "keys")
			r.Set(name, used)
			model[name] = used
			asked := rapid.SliceOfN(rapid.SampledFrom(keys), 0, 2).Draw(t, "asked")
			var want []string
			for _, name := range names {
				if slices.ContainsFunc(model[name], func(key string) bool { return slices.Contains(asked, key) }) {
					want = append(want, name)
				}
			}
			if have := r.Users(asked...); !slices.Equal(have, want) {
				t.Fatalf("users of %v are %v, want %v", asked, have, want)
			}
		}
		for _, name := range names {
			r.Set(name, nil)
		}
		if len(r.users)+len(r.keys) != 0 {
			t.Fatal("something is kept of nothing")
		}
	})
}

// layered is a graph in which each workload needs three others, and one of them is
// needed by all.
func layered(size int) []Change {
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]Change, size)
	for i := range all {
		all[i].Name = fmt.Sprintf("w%05d", i)
		if i > 0 {
			all[i].Needs = []string{all[0].Name, all[random.IntN(i)].Name, all[random.IntN(i)].Name}
		}
	}
	return all
}

// A change costs the same however many workloads there are.
func BenchmarkReplace(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		all := layered(size)
		b.Run(fmt.Sprintf("new=1/of=%d", size), func(b *testing.B) {
			g := Load(all)
			for b.Loop() {
				mustReplace(b, g, Change{"new", all[1].Needs})
				mustReplace(b, g, Change{"new", nil})
			}
		})
		b.Run(fmt.Sprintf("hub=1/of=%d", size), func(b *testing.B) {
			g := Load(all)
			for i := 0; b.Loop(); i++ {
				name := fmt.Sprintf("disk%d", i%2)
				mustReplace(b, g, Change{name, []string{"rack"}})
				mustReplace(b, g, Change{all[0].Name, []string{name}})
				mustReplace(b, g, Change{name, nil})
			}
		})
		b.Run(fmt.Sprintf("random=1/of=%d", size), func(b *testing.B) {
			g := Load(all)
			random := rand.New(rand.NewPCG(3, 4))
			for b.Loop() {
				at := 1 + random.IntN(size-1)
				// Refused or not: both have to be found out.
				_, _ = g.Replace([]Change{{all[at].Name, []string{all[random.IntN(size)].Name, all[0].Name}}})
			}
		})
	}
}

// A graph is loaded in time proportional to its size.
func BenchmarkLoad(b *testing.B) {
	for _, size := range []int{1000, 10_000, 100_000} {
		all := layered(size)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			for b.Loop() {
				Load(all)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/workload")
		})
	}
}
