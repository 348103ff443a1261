package mask

import (
	"slices"
	"strings"

	"github.com/argosy-cluster/argosy/manifest/tree"
)

// Changes are the differences of two states as far as masks select them. The
// paths are sorted; none is inside of another.
type Changes struct {
	// Added are fields that were not there, or were empty maps or lists.
	Added []string
	// Updated are fields that have another value: scalars, lists, or something of
	// another kind.
	Updated []string
	// Removed are fields that are not there any more, or are empty now.
	Removed []string
	// State is the part of the later state that was added or updated, with what is
	// always shown with it; an empty map when there is none.
	State *tree.Node
}

// None tells whether nothing has changed.
func (c *Changes) None() bool {
	return len(c.Added)+len(c.Updated)+len(c.Removed) == 0
}

// Diff returns the changes from one state to another as far as the masks select
// them. An addition or a removal is reported where the two first differ, or where
// the mask ends if that is deeper; an update is reported at the fields that have
// other values. What both states share costs nothing.
func Diff(before, after *tree.Node, masks *Set) *Changes {
	d := &differ{changes: &Changes{}, shows: &step{}}
	d.compare(before, after, steps{masks.selects})
	for _, list := range [][]string{d.changes.Added, d.changes.Updated, d.changes.Removed} {
		slices.Sort(list)
	}
	d.changes.State = filter(after, d.shows)
	return d.changes
}

// differ walks two states at once.
type differ struct {
	// path is where it is.
	path    []string
	changes *Changes
	// shows selects what is added or updated.
	shows *step
}

// compare looks for differences where no mask has ended yet.
func (d *differ) compare(before, after *tree.Node, active steps) {
	switch {
	case before == after || len(active) == 0:
	case active.whole():
		d.selected(before, after)
	default:
		tree.Changed(before, after, func(name string, b, a *tree.Node) {
			d.inside(name, func() { d.compare(b, a, active.enter(name)) })
		})
	}
}

// selected looks for differences in what is selected as a whole.
func (d *differ) selected(before, after *tree.Node) {
	same := before.Kind() == after.Kind()
	filled, emptied := same && before.Len() == 0 && after.Len() > 0, same && before.Len() > 0 && after.Len() == 0
	switch {
	case before == after:
	case len(d.path) > 0 && (before == nil || filled):
		d.changes.Added = d.show(d.changes.Added)
	case len(d.path) > 0 && (after == nil || emptied):
		d.changes.Removed = append(d.changes.Removed, strings.Join(d.path, "."))
	case len(d.path) == 0 || (same && before.Kind() == tree.Map):
		tree.Changed(before, after, func(name string, b, a *tree.Node) {
			d.inside(name, func() { d.selected(b, a) })
		})
	case !tree.Equal(before, after):
		d.changes.Updated = d.show(d.changes.Updated)
	}
}

func (d *differ) inside(name string, do func()) {
	d.path = append(d.path, name)
	do()
	d.path = d.path[:len(d.path)-1]
}

// show reports where it is as something that the later state has.
func (d *differ) show(list []string) []string {
	d.shows.addPath(d.path)
	for _, other := range Mask(d.path).shown() {
		d.shows.addPath(other)
	}
	return append(list, strings.Join(d.path, "."))
}
