package fsm

import (
	"iter"
	"maps"
	"slices"
	"sync"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// groupIndex finds rows by group. Like outcomeIndex there is one of it, of the
// newest state: as a second tree it doubled what it costs to create a row.
//
// A view reads its groups through it. What joined after the view is not among
// the view's rows in that group; but what left after the view is missing here,
// so each group knows when that happened last, and a view from before looks
// through all its rows instead.
type groupIndex struct {
	mu     sync.RWMutex
	groups map[groupKey]*group
	// revision at which a group was last given up because it was empty
	emptied uint64
}

type groupKey struct {
	kind argosyv1.RowKind
	name string
}

type group struct {
	name string
	keys map[string]struct{}
	// revision at which a row last left
	left uint64
}

func newGroupIndex() *groupIndex { return &groupIndex{groups: make(map[groupKey]*group)} }

// update takes in what an entry did to rows.
func (x *groupIndex) update(changes []Change, revision uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range changes {
		switch {
		case c.Before == nil:
			x.join(c.After)
		case c.After == nil:
			x.leave(c.Before, revision)
		case c.Before.Group != c.After.Group:
			x.leave(c.Before, revision)
			x.join(c.After)
		}
	}
}

func (x *groupIndex) join(row *Row) {
	key := groupKey{kind: row.Kind, name: row.Group}
	g := x.groups[key]
	if g == nil {
		g = &group{name: row.Group, keys: make(map[string]struct{}), left: x.emptied}
		x.groups[key] = g
	}
	g.keys[row.Key] = struct{}{}
}

func (x *groupIndex) leave(row *Row, revision uint64) {
	key := groupKey{kind: row.Kind, name: row.Group}
	g := x.groups[key]
	delete(g.keys, row.Key)
	g.left = revision
	if len(g.keys) == 0 {
		delete(x.groups, key)
		x.emptied = revision
	}
}

// name returns a group's name as a string that is shared by all its rows.
func (x *groupIndex) name(kind argosyv1.RowKind, name []byte) string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if g := x.groups[groupKey{kind: kind, name: string(name)}]; g != nil {
		return g.name
	}
	return string(name)
}

// keys returns the keys of a group in order, and from which revision on views
// can rely on them.
func (x *groupIndex) keys(kind argosyv1.RowKind, name string) (keys []string, from uint64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	g := x.groups[groupKey{kind: kind, name: name}]
	if g == nil {
		return nil, x.emptied
	}
	return slices.Collect(maps.Keys(g.keys)), g.left
}

// group yields the rows of a group in order of key.
func (v *View) group(kind argosyv1.RowKind, name string) iter.Seq[*Row] {
	return func(yield func(*Row) bool) {
		keys, from := v.index.groups.keys(kind, name)
		if v.revision < from {
			for row := range v.reader.rows(kind) {
				if row.Group == name && !yield(row) {
					return
				}
			}
			return
		}
		slices.Sort(keys)
		var id []byte
		for _, key := range keys {
			id = appendID(id[:0], kind, key)
			if row := v.reader.row(id); row != nil && row.Group == name && !yield(row) {
				return
			}
		}
	}
}
