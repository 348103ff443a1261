package writer

import argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"

// A workload that is created is started only when no other agent has an instance
// of its name any more, of one that was deleted before. Leaders know that from
// what agents report, and know nothing after all servers were started again; of a
// workload that has moved desired state tells then that there is something to
// wait for, since it was changed, but not of one that is new. So that is written
// into the row with which it begins. It matters to nobody but a leader that an
// agent is hidden from, so it is never taken back.

// maxDeparted is how many deleted workloads are told apart.
const maxDeparted = 4096

// departed remembers with which revision workloads were deleted: who is asked
// whether they are gone must have heard of that.
type departed struct {
	names map[string]departure
	// before is the revision up to which the others were deleted.
	before uint64
}

// departure is the end of a workload; its revision is not known while the entry
// is in flight.
type departure struct {
	by       *batch
	revision uint64
}

func newDeparted(revision uint64) departed {
	return departed{names: map[string]departure{}, before: revision}
}

func (d *departed) note(name string, by *batch) { d.names[name] = departure{by: by} }

func (d *departed) committed(name string, by *batch) {
	if d.names[name].by != by {
		return
	}
	d.names[name] = departure{revision: by.revision}
	if len(d.names) > maxDeparted {
		d.forget()
	}
}

// forget takes the names of all that are committed together.
func (d *departed) forget() {
	for name, end := range d.names {
		if end.by == nil {
			d.before = max(d.before, end.revision)
			delete(d.names, name)
		}
	}
}

// displacing tells whether a workload is created of whose name another agent may
// have an instance.
func (c *Working) displacing(p *put) bool {
	end, known := c.departed.names[p.name]
	switch {
	case !known:
		end.revision = c.departed.before
	case end.by != nil:
		return true // nobody has heard of it yet
	}
	return c.elsewhere(p.name, p.group, end.revision)
}

// mark writes into a workload that it displaces one.
func (p *put) mark() {
	p.record, p.value = encodePutValue(kindWorkload, p.name, p.group, argosyv1.MarkDisplacing(p.value))
}
