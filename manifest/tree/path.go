package tree

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoField is returned (wrapped) when the way to a field leads through one that
// is not there or is not a map.
var ErrNoField = errors.New("no such field")

// Get returns what is at a path, nil when there is nothing. The empty path is the
// node itself.
func (n *Node) Get(path ...string) *Node {
	for _, name := range path {
		n = n.Child(name)
	}
	return n
}

// With returns a map that has one field more or another value in it; a nil value
// takes the field away. Of what is not a map it makes one that has this field only.
func (n *Node) With(name string, value *Node) *Node {
	root, size := (*entry)(nil), 0
	if n.Kind() == Map {
		root, size = n.root, n.size
	}
	old := root.find(name)
	switch {
	case value == nil && old == nil:
		if n.Kind() == Map {
			return n
		}
	case value == nil:
		root, size = root.remove(name), size-1
	case old == nil:
		root, size = root.set(newEntry(name, value)), size+1
	case old.value == value:
		return n
	default:
		root = root.set(newEntry(name, value))
	}
	return &Node{kind: Map, size: size, root: root}
}

// Set returns the tree with a value at a path; maps that are missing on the way
// are made. It fails with ErrNoField when the way leads through something that is
// there and not a map: items of a list cannot be set. A nil value takes the field
// away as Delete does, but makes the maps on the way.
func (n *Node) Set(value *Node, path ...string) (*Node, error) {
	return n.set(value, path, 0)
}

func (n *Node) set(value *Node, path []string, depth int) (*Node, error) {
	if depth == len(path) {
		return value, nil
	}
	if n != nil && n.kind != Map {
		return nil, fmt.Errorf("set '%s': %w: '%s' is %s, only fields of a mapping can be set", strings.Join(path, "."), ErrNoField, strings.Join(path[:depth], "."), n.kind)
	}
	child, err := n.Child(path[depth]).set(value, path, depth+1)
	if err != nil {
		return nil, err
	}
	return n.With(path[depth], child), nil
}

// Delete returns the tree without what is at a path. That there is nothing is no
// error as long as a map is there that could have it; otherwise it fails with
// ErrNoField. Deleting the empty path leaves nothing.
func (n *Node) Delete(path ...string) (*Node, error) {
	return n.delete(path, 0)
}

func (n *Node) delete(path []string, depth int) (*Node, error) {
	if depth == len(path) {
		return nil, nil
	}
	if n.Kind() != Map {
		return nil, fmt.Errorf("delete '%s': %w: '%s' is %s, it has no fields that could be deleted", strings.Join(path, "."), ErrNoField, strings.Join(path[:depth], "."), n.Kind())
	}
	child, err := n.Child(path[depth]).delete(path, depth+1)
	if err != nil {
		return nil, err
	}
	return n.With(path[depth], child), nil
}
