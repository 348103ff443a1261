package writer

import (
	"slices"

	"github.com/argosy-cluster/argosy/server/writer/graph"
)

// links are what the workloads of the working copy have to do with each other and
// with configs, entries in flight included. A cluster in which they have nothing
// to do with anything never needs them.
type links struct {
	needs *graph.Graph
	uses  *graph.References
}

// linked returns the links; they are made at the first write that asks, and kept
// up with every row that is laid.
func (c *Working) linked() *links {
	if c.links != nil {
		return c.links
	}
	c.links = &links{uses: graph.NewReferences()}
	var needs []graph.Change
	add := func(name string, value []byte) {
		s := sketchOf(value)
		if len(s.needs) > 0 {
			needs = append(needs, graph.Change{Name: name, Needs: s.needs})
		}
		c.links.uses.Set(name, s.uses)
	}
	for row := range c.view.Workloads() {
		if _, changed := c.rows[rowKey{kindWorkload, row.Key}]; !changed {
			add(row.Key, row.Value)
		}
	}
	for key, row := range c.rows {
		if key.kind == kindWorkload && !row.deleted {
			add(key.key, row.value)
		}
	}
	c.links.needs = graph.Load(needs)
	return c.links
}

// note takes in that the row of a workload was laid; no value means that it was
// deleted.
func (l *links) note(name string, value []byte) {
	s := sketchOf(value)
	l.uses.Set(name, s.uses)
	if slices.Sort(s.needs); !slices.Equal(s.needs, l.needs.Needs(name)) {
		// Of requests it was found out before that they close no cycle; whatever else
		// did would not be taken into the graph.
		_, _ = l.needs.Replace([]graph.Change{{Name: name, Needs: s.needs}})
	}
}
