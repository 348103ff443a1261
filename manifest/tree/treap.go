package tree

import (
	"hash/maphash"
	"slices"
	"strings"
)

// entry is a node of a treap: ordered by name as a search tree, and by priority as
// a heap. Both together leave one shape for a set of names. Entries never change
// after they were put into a map.
type entry struct {
	name        string
	priority    uint64
	value       *Node
	left, right *entry
}

// seed makes priorities that nobody outside can foresee.
var seed = maphash.MakeSeed()

func newEntry(name string, value *Node) *entry {
	return &entry{name: name, priority: maphash.String(seed, name), value: value}
}

// above tells whether e belongs nearer to the root than other.
func (e *entry) above(other *entry) bool {
	return e.priority > other.priority || (e.priority == other.priority && e.name < other.name)
}

// with returns a copy of e with other children.
func (e *entry) with(left, right *entry) *entry {
	return &entry{name: e.name, priority: e.priority, value: e.value, left: left, right: right}
}

func (e *entry) find(name string) *entry {
	for e != nil {
		switch order := strings.Compare(name, e.name); {
		case order == 0:
			return e
		case order < 0:
			e = e.left
		default:
			e = e.right
		}
	}
	return nil
}

func (e *entry) walk(yield func(string, *Node) bool) bool {
	return e == nil || (e.left.walk(yield) && yield(e.name, e.value) && e.right.walk(yield))
}

// build makes a treap of entries that nobody has yet; their names differ.
func build(entries []*entry) *entry {
	slices.SortFunc(entries, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	// The right edge of what is built so far, from the root down.
	var edge []*entry
	for _, e := range entries {
		for len(edge) > 0 && e.above(edge[len(edge)-1]) {
			e.left = edge[len(edge)-1]
			edge = edge[:len(edge)-1]
		}
		if len(edge) > 0 {
			edge[len(edge)-1].right = e
		}
		edge = append(edge, e)
	}
	if len(edge) == 0 {
		return nil
	}
	return edge[0]
}

// set returns the treap with one entry added or replaced.
func (e *entry) set(added *entry) *entry {
	switch {
	case e == nil:
		return added
	case e.name == added.name:
		return added.with(e.left, e.right)
	case added.above(e):
		left, right := e.split(added.name)
		return added.with(left, right)
	case added.name < e.name:
		return e.with(e.left.set(added), e.right)
	default:
		return e.with(e.left, e.right.set(added))
	}
}

// remove returns the treap without an entry that it has.
func (e *entry) remove(name string) *entry {
	switch order := strings.Compare(name, e.name); {
	case order == 0:
		return join(e.left, e.right)
	case order < 0:
		return e.with(e.left.remove(name), e.right)
	default:
		return e.with(e.left, e.right.remove(name))
	}
}

// split parts a treap that does not have the name into what is before and after
// it.
func (e *entry) split(name string) (before, after *entry) {
	if e == nil {
		return nil, nil
	}
	if name < e.name {
		before, rest := e.left.split(name)
		return before, e.with(rest, e.right)
	}
	rest, after := e.right.split(name)
	return e.with(e.left, rest), after
}

// join puts treaps together of which all names of the first are before those of
// the second.
func join(a, b *entry) *entry {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.above(b):
		return a.with(a.left, join(a.right, b))
	default:
		return b.with(join(a, b.left), b.right)
	}
}

// equalEntries compares by shape: the same names always have the same one.
func equalEntries(a, b *entry) bool {
	if a == b {
		return true
	}
	return a != nil && b != nil && a.name == b.name && Equal(a.value, b.value) &&
		equalEntries(a.left, b.left) && equalEntries(a.right, b.right)
}

// changedEntries visits what differs in the order of the names. When the roots
// differ, the one that is above the other is a name that the other does not have;
// the other is parted there. That makes some new entries, but what is below them
// stays shared.
func changedEntries(a, b *entry, visit func(name string, before, after *Node)) {
	switch {
	case a == b:
	case b == nil || (a != nil && a.name != b.name && a.above(b)):
		left, right := b.split(a.name)
		changedEntries(a.left, left, visit)
		visit(a.name, a.value, nil)
		changedEntries(a.right, right, visit)
	case a == nil || a.name != b.name:
		left, right := a.split(b.name)
		changedEntries(left, b.left, visit)
		visit(b.name, nil, b.value)
		changedEntries(right, b.right, visit)
	default:
		changedEntries(a.left, b.left, visit)
		if a.value != b.value {
			visit(a.name, a.value, b.value)
		}
		changedEntries(a.right, b.right, visit)
	}
}
