package check

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// damage judges S11: nothing is shown to anybody that nobody has written; a
// server whose data was damaged has it whole in the end, or damaged only where it
// never looks any more; and nothing is damaged that nobody has damaged.
func damage(a *account) Result {
	f := find("S11")
	written := map[string]bool{}
	objects := map[string]bool{}
	for _, w := range a.inOrder {
		o := w.operation()
		for i, name := range o.Objects {
			objects[name] = true
			if i < len(o.Values) {
				written[o.Values[i]] = true
			}
		}
	}
	served := func(o history.Object, at history.Micros, evidence func() []string) {
		f.result.Checked++
		if !written[o.Value] || !objects[o.Name] {
			f.add(at, evidence(), "%s was served, which nobody has written", describeObject(o))
		}
	}
	for i := range a.h.Operations {
		o := &a.h.Operations[i]
		for _, found := range o.Found {
			served(found, o.Return, func() []string { return a.tell(o) })
		}
	}
	for i := range a.h.Sights {
		s := &a.h.Sights[i]
		for _, put := range s.Put {
			served(put, s.At, func() []string { return a.tellSights(s) })
		}
	}
	for i := range a.h.Replicas {
		r := &a.h.Replicas[i]
		for _, o := range r.Objects {
			served(o, a.h.Meta.Ended, func() []string { return []string{"in the end on " + r.Server} })
		}
		switch {
		case len(r.Damaged) > 0 && !a.spoiled(r.Server):
			f.add(a.h.Meta.Ended, r.Damaged, "the data of %s is damaged, which nobody has done", r.Server)
		case r.Error == "" && len(r.Damaged) > 0 && r.Revision == 0:
			// It has read that when it was started, for there is nothing else from
			// which it could know what comes after its snapshot.
			f.add(a.h.Meta.Ended, r.Damaged, "%s has gone on with data that is damaged", r.Server)
		case r.Error != "" && a.spoiled(r.Server):
			f.add(a.h.Meta.Ended, []string{r.Error}, "the data of %s was damaged, and is not whole in the end", r.Server)
		}
	}
	return f.result
}

// spoiled tells whether a fault has damaged what a server has on disk.
func (a *account) spoiled(server string) bool {
	return slices.ContainsFunc(a.h.Faults, func(fault history.Fault) bool {
		return done(&fault) && slices.Contains(spoilingKinds, fault.Kind) && slices.Contains(fault.Targets, server)
	})
}

// versions judges S12: when servers of several versions ran together, all that
// is said of data holds as well, and nothing was used that not all of them know.
func versions(a *account) Result {
	f := find("S12")
	if len(a.h.Meta.Versions) < 2 {
		return f.result
	}
	f.result.Checked = int64(len(a.h.Operations))
	a.levels(f)
	for _, c := range checkers() {
		if !strings.HasPrefix(c.Invariant, "S") || c.Invariant == "S12" {
			continue
		}
		r := c.judge(a)
		f.result.Found += r.Found
		for _, v := range r.Violations {
			if len(f.result.Violations) < keep {
				v.Invariant, v.What = "S12", "among versions "+strings.Join(a.h.Meta.Versions, ", ")+": "+v.What
				f.result.Violations = append(f.result.Violations, v)
			}
		}
		if r.Unjudged != "" {
			f.cannot("%s", r.Unjudged)
		}
	}
	return f.result
}

// levels holds what a cluster was made to use against what its servers knew then,
// whether they ran or not. One whose data was spoiled may have been removed from the
// cluster until it began anew: nothing can be said of it.
func (a *account) levels(f *findings) {
	knows := map[string]history.Level{}
	for _, l := range a.h.Levels {
		if l.Knows > 0 {
			knows[l.Server] = l
			continue
		}
		f.result.Checked++
		for _, name := range slices.Sorted(maps.Keys(knows)) {
			if k := knows[name]; k.Knows < l.Raised && !a.spoiled(name) {
				f.add(l.At, []string{
					a.when(k.At) + ": " + name + " was started, and knows no more than feature level " + strconv.FormatUint(uint64(k.Knows), 10),
					a.when(l.At) + ": " + l.Server + " had the cluster use feature level " + strconv.FormatUint(uint64(l.Raised), 10),
				}, "the cluster was made to use feature level %d, which %s did not know", l.Raised, name)
			}
		}
	}
}
