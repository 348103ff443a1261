package graph

import (
	"cmp"
	"slices"
)

// pass moves workloads in the line so that one stands behind another that it is
// to depend on. It reports false when that one depends on it already.
func (g *Graph) pass(n, to *node) bool {
	g.visit++
	down := newSearch(g.visit, to, n, downwards)
	up := newSearch(g.visit, n, to, upwards)
	for {
		switch {
		case down.met || up.met:
			return false
		case len(down.stack) == 0:
			// All that "to" needs and that stands behind n goes before n.
			byLabel(down.seen)
			for _, moved := range down.seen {
				g.line.remove(moved)
				g.line.insertBefore(moved, n)
			}
			return true
		case len(up.stack) == 0:
			byLabel(up.seen)
			at := to
			for _, moved := range up.seen {
				g.line.remove(moved)
				g.line.insertAfter(moved, at)
				at = moved
			}
			return true
		}
		down.step()
		up.step()
	}
}

const (
	downwards = iota
	upwards
)

// search goes from one node along the edges, one of them each step, as far as the
// place of its goal in the line.
type search struct {
	visit     uint64
	direction int
	goal      *node
	met       bool
	stack     []place
	seen      []*node
}

type place struct {
	node *node
	next int
}

func newSearch(visit uint64, from, goal *node, direction int) *search {
	from.visited[direction] = visit
	return &search{visit: visit, direction: direction, goal: goal, stack: []place{{node: from}}, seen: []*node{from}}
}

func (s *search) step() {
	top := &s.stack[len(s.stack)-1]
	edges := top.node.needs
	if s.direction == upwards {
		edges = top.node.neededBy
	}
	if top.next == len(edges) {
		s.stack = s.stack[:len(s.stack)-1]
		return
	}
	n, beyond := edges[top.next].to, false
	if s.direction == upwards {
		n = edges[top.next].from
		beyond = n.label > s.goal.label
	} else {
		beyond = n.label < s.goal.label
	}
	top.next++
	switch {
	case n == s.goal:
		s.met = true
	case !beyond && n.visited[s.direction] != s.visit:
		n.visited[s.direction] = s.visit
		s.seen = append(s.seen, n)
		s.stack = append(s.stack, place{node: n})
	}
}

// path returns the way from one node to another that it depends on by others: of
// several the one whose names come first.
func (g *Graph) path(from, to *node) []string {
	g.visit++
	s := newSearch(g.visit, from, to, downwards)
	for len(s.stack) > 0 && !s.met {
		s.step()
	}
	names := make([]string, 0, len(s.stack)+1)
	for _, at := range s.stack {
		names = append(names, at.node.name)
	}
	return append(names, to.name)
}

func byLabel(nodes []*node) {
	slices.SortFunc(nodes, func(a, b *node) int { return cmp.Compare(a.label, b.label) })
}
