package mask

import "github.com/argosy-cluster/argosy/manifest/tree"

// Filter returns the part of the state that the masks select, an empty map when
// they select nothing. What is selected as a whole is shared with the state.
func Filter(root *tree.Node, masks *Set) *tree.Node {
	return filter(root, masks.shows)
}

func filter(root *tree.Node, shows *step) *tree.Node {
	if part := part(root, steps{shows}); part != nil {
		return part
	}
	return tree.NewMap(nil)
}

// part returns what of a node is selected, nil when nothing is.
func part(n *tree.Node, active steps) *tree.Node {
	switch {
	case n == nil || len(active) == 0:
		return nil
	case active.whole():
		return n
	case n.Kind() == tree.List:
		return partOfList(n, active)
	case n.Kind() == tree.Map:
		return partOfMap(n, active)
	default:
		return nil
	}
}

func partOfList(list *tree.Node, active steps) *tree.Node {
	var items []*tree.Node
	for index, item := range list.Children() {
		if p := part(item, active.enter(index)); p != nil {
			items = append(items, p)
		}
	}
	if len(items) == 0 {
		return nil
	}
	return tree.NewList(items)
}

func partOfMap(n *tree.Node, active steps) *tree.Node {
	fields, same := map[string]*tree.Node{}, 0
	take := func(name string, value *tree.Node) {
		p := part(value, active.enter(name))
		if p == nil {
			return
		}
		fields[name] = p
		if p == value {
			same++
		}
	}
	if active.wild() || active.count() > n.Len() {
		for name, value := range n.Children() {
			take(name, value)
		}
	} else {
		for name := range active.names() {
			take(name, n.Child(name))
		}
	}
	switch {
	case len(fields) == 0:
		return nil
	case same == n.Len() && same == len(fields):
		return n
	default:
		return tree.NewMap(fields)
	}
}

// count returns how many names there are at most.
func (active steps) count() int {
	n := 0
	for _, a := range active {
		n += len(a.names)
	}
	return n
}

// names returns the names that the steps lead on by; of one step that is its own
// map.
func (active steps) names() map[string]*step {
	if len(active) == 1 {
		return active[0].names
	}
	all := map[string]*step{}
	for _, a := range active {
		for name, next := range a.names {
			all[name] = next
		}
	}
	return all
}
