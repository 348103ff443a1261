package tree

import (
	"iter"
	"slices"
	"strconv"
)

// Kind is what a node is.
type Kind uint8

// Kinds of nodes.
const (
	// Absent is the kind of the nil node: a field that is not there.
	Absent Kind = iota
	// Map has named children.
	Map
	// List has children that are counted from 0.
	List
	// Text is a scalar.
	Text
	// Count is a scalar that is a number from 0 to the greatest uint64.
	Count
)

// String returns the word for the kind as messages use it.
func (k Kind) String() string {
	switch k {
	case Map:
		return "a mapping"
	case List:
		return "a list"
	case Text:
		return "a text"
	case Count:
		return "a number"
	default:
		return "nothing"
	}
}

// Node is a part of a tree. It never changes; the nil node stands for a field
// that is not there, and all methods take it.
type Node struct {
	kind  Kind
	size  int
	text  string
	items []*Node
	root  *entry
}

// NewText returns a text.
func NewText(text string) *Node { return &Node{kind: Text, text: text} }

// NewCount returns a number.
func NewCount(n uint64) *Node { return &Node{kind: Count, text: strconv.FormatUint(n, 10)} }

// NewList returns a list. The slice is the list's from now on; items must not be
// nil.
func NewList(items []*Node) *Node { return &Node{kind: List, size: len(items), items: items} }

// NewMap returns a map of what is not nil in fields.
func NewMap(fields map[string]*Node) *Node {
	entries := make([]*entry, 0, len(fields))
	for name, value := range fields {
		if value != nil {
			entries = append(entries, newEntry(name, value))
		}
	}
	return &Node{kind: Map, size: len(entries), root: build(entries)}
}

// Kind returns what the node is.
func (n *Node) Kind() Kind {
	if n == nil {
		return Absent
	}
	return n.kind
}

// Len returns how many children a map or a list has, otherwise 0.
func (n *Node) Len() int {
	if n == nil {
		return 0
	}
	return n.size
}

// Text returns a scalar as text, of a count its digits; of all else it is empty.
func (n *Node) Text() string {
	if n == nil {
		return ""
	}
	return n.text
}

// Count returns the number and whether the node is one.
func (n *Node) Count() (uint64, bool) {
	if n.Kind() != Count {
		return 0, false
	}
	// It was made of a uint64.
	number, err := strconv.ParseUint(n.text, 10, 64)
	return number, err == nil
}

// Child returns the field of a map, or the item of a list whose index the name
// is, written without leading zeros: every item has one name. It is nil when there
// is none.
func (n *Node) Child(name string) *Node {
	switch n.Kind() {
	case Map:
		if e := n.root.find(name); e != nil {
			return e.value
		}
	case List:
		if i := index(name); i >= 0 && i < len(n.items) {
			return n.items[i]
		}
	}
	return nil
}

// Children returns the fields of a map in the order of their names, or the items
// of a list by their index.
func (n *Node) Children() iter.Seq2[string, *Node] {
	return func(yield func(string, *Node) bool) {
		switch n.Kind() {
		case Map:
			n.root.walk(yield)
		case List:
			for i, item := range n.items {
				if !yield(strconv.Itoa(i), item) {
					return
				}
			}
		}
	}
}

// Items returns the items of a list.
func (n *Node) Items() iter.Seq[*Node] {
	if n.Kind() != List {
		return slices.Values[[]*Node](nil)
	}
	return slices.Values(n.items)
}

// index returns the index that a name is, or -1.
func index(name string) int {
	i, err := strconv.Atoi(name)
	if err != nil || i < 0 || strconv.Itoa(i) != name {
		return -1
	}
	return i
}

// Equal tells whether two trees have the same content. What they share costs
// nothing.
func Equal(a, b *Node) bool {
	if a == b {
		return true
	}
	if a.Kind() != b.Kind() || a.Len() != b.Len() || a.Text() != b.Text() {
		return false
	}
	switch a.Kind() {
	case Map:
		return equalEntries(a.root, b.root)
	case List:
		return slices.EqualFunc(a.items, b.items, Equal)
	default:
		return true
	}
}

// Changed calls visit for every child that is another node in after than in
// before; nil stands for a child that is not there. Children that both share are
// not looked at. Two nodes may still have equal content. Of two maps the children
// come in the order of their names.
func Changed(before, after *Node, visit func(name string, before, after *Node)) {
	switch {
	case before == after:
	case before.Kind() == Map && after.Kind() == Map:
		changedEntries(before.root, after.root, visit)
	default:
		for name, value := range before.Children() {
			if other := after.Child(name); other != value {
				visit(name, value, other)
			}
		}
		for name, value := range after.Children() {
			if before.Child(name) == nil {
				visit(name, nil, value)
			}
		}
	}
}
