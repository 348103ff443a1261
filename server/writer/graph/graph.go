// Package graph knows which workloads depend on which, and which use which
// configs, so that the leader can judge one write without looking at all
// workloads.
//
// It protects one invariant: the dependencies it holds have no cycle. It keeps
// all workloads of the graph in one line in which each stands behind those that it
// depends on. A new dependency that fits the line costs nothing; for one that does
// not, only those are looked at that stand between its two ends, from both ends at
// once, and whichever side is known first is moved past the other. What a write
// costs is thus about what it changes, not how many workloads there are.
package graph

import (
	"cmp"
	"slices"
)

// Graph is an acyclic graph of workloads by name. A name need not be that of a
// workload that exists: whoever depends on it waits for it. It belongs to one
// goroutine.
type Graph struct {
	nodes map[string]*node
	line  line
	// visit numbers the searches, so that their marks need not be taken off.
	visit uint64
}

// Change says what a workload depends on from now on.
type Change struct {
	// Name of the workload.
	Name string
	// Needs are the names of what it depends on; none when it is deleted.
	Needs []string
}

type node struct {
	name string
	// needs are in order of the name they lead to.
	needs    []*edge
	neededBy []*edge

	before, after *node
	label         uint64
	// visited is the number of the last search from above and from below that came
	// here.
	visited [2]uint64
}

// edge says that one needs another.
type edge struct {
	from, to *node
	// at is the place in to.neededBy.
	at int
}

// New makes an empty graph.
func New() *Graph { return &Graph{nodes: map[string]*node{}} }

// Load makes a graph of what there is, in time proportional to its size. A
// dependency that would close a cycle is left out: what was once accepted must not
// keep the leader from judging anything else.
func Load(all []Change) *Graph {
	g := New()
	needs := make(map[string][]string, len(all))
	for _, c := range all {
		if len(c.Needs) > 0 {
			needs[c.Name] = sorted(c.Needs)
		}
	}
	names := make([]string, 0, len(needs))
	for name := range needs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		g.load(name, needs)
	}
	return g
}

// load puts a workload and all it needs into the line, the needed first.
func (g *Graph) load(name string, needs map[string][]string) {
	type frame struct {
		node *node
		next int
	}
	if g.nodes[name] != nil {
		return
	}
	// Whoever is on the path is in nodes, but not in the line yet.
	path := []frame{{node: g.make(name)}}
	for len(path) > 0 {
		top := &path[len(path)-1]
		on := needs[top.node.name]
		if top.next == len(on) {
			g.line.pushBack(top.node)
			path = path[:len(path)-1]
			continue
		}
		need := on[top.next]
		to := g.nodes[need]
		switch {
		case to == nil:
			path = append(path, frame{node: g.make(need)})
			continue // it is looked at again when the needed is in the line
		case g.line.has(to):
			top.node.link(to)
		}
		top.next++
	}
}

// Replace changes what some workloads depend on: all of them, or none with a
// *CycleError. What it answers depends on the dependencies alone and not on how
// they came about. The function it returns takes the change back.
func (g *Graph) Replace(changes []Change) (undo func(), err error) {
	var before, after []Change
	for _, c := range changes {
		have, want := g.Needs(c.Name), sorted(c.Needs)
		if slices.Equal(have, want) {
			continue
		}
		before = append(before, Change{c.Name, have})
		after = append(after, Change{c.Name, want})
	}
	undo = func() { g.set(before) }
	if cycle := g.set(after); cycle != nil {
		undo()
		return func() {}, cycle
	}
	return undo, nil
}

// set changes what some workloads depend on, in order of their names, until that
// closes a cycle. Needs are sorted.
func (g *Graph) set(changes []Change) *CycleError {
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Name, b.Name) })
	// First what goes, so that a cycle which is opened is not taken for closed.
	for _, c := range changes {
		g.keepOnly(c)
	}
	for _, c := range changes {
		if cycle := g.add(c); cycle != nil {
			return cycle
		}
	}
	return nil
}

// keepOnly takes away what a workload does not need any more.
func (g *Graph) keepOnly(c Change) {
	n := g.nodes[c.Name]
	if n == nil {
		return
	}
	for _, e := range slices.Clone(n.needs) {
		if _, stays := slices.BinarySearch(c.Needs, e.to.name); !stays {
			e.unlink()
			g.drop(e.to)
		}
	}
	g.drop(n)
}

// add adds what a workload needs beyond what it has.
func (g *Graph) add(c Change) *CycleError {
	for _, need := range c.Needs {
		n := g.nodes[c.Name]
		if n != nil && n.has(need) {
			continue
		}
		if need == c.Name {
			return &CycleError{Path: []string{need}}
		}
		if n == nil {
			n = g.make(c.Name)
			g.line.pushBack(n)
		}
		to := g.nodes[need]
		if to == nil {
			to = g.make(need)
			g.line.pushFront(to)
		}
		if n.label < to.label && !g.pass(n, to) {
			return &CycleError{Path: g.path(to, n)}
		}
		n.link(to)
	}
	return nil
}

// Needs returns what a workload depends on, in order.
func (g *Graph) Needs(name string) []string {
	n := g.nodes[name]
	if n == nil || len(n.needs) == 0 {
		return nil
	}
	needs := make([]string, len(n.needs))
	for i, e := range n.needs {
		needs[i] = e.to.name
	}
	return needs
}

func (g *Graph) make(name string) *node {
	n := &node{name: name}
	g.nodes[name] = n
	return n
}

// drop forgets a node that nothing leads to or from.
func (g *Graph) drop(n *node) {
	if len(n.needs) == 0 && len(n.neededBy) == 0 && g.nodes[n.name] == n {
		delete(g.nodes, n.name)
		g.line.remove(n)
	}
}

func (n *node) find(need string) (at int, found bool) {
	return slices.BinarySearchFunc(n.needs, need, func(e *edge, name string) int { return cmp.Compare(e.to.name, name) })
}

func (n *node) has(need string) bool {
	_, found := n.find(need)
	return found
}

func (n *node) link(to *node) {
	e := &edge{from: n, to: to, at: len(to.neededBy)}
	at, _ := n.find(to.name)
	n.needs = slices.Insert(n.needs, at, e)
	to.neededBy = append(to.neededBy, e)
}

func (e *edge) unlink() {
	at, _ := e.from.find(e.to.name)
	e.from.needs = slices.Delete(e.from.needs, at, at+1)
	by := e.to.neededBy
	last := by[len(by)-1]
	by[e.at], last.at = last, e.at
	by[len(by)-1] = nil
	e.to.neededBy = by[:len(by)-1]
}

func sorted(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}
