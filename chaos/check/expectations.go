package check

import (
	"slices"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// expectations judges S6: a write that expects a revision was carried out on
// nothing else, and one that was refused for it had a reason.
func expectations(a *account) Result {
	f := find("S6")
	r := replayed{account: a, findings: f, objects: map[string]version{}}
	for i := range a.log {
		r.entry(&a.log[i])
	}
	for _, w := range a.inOrder {
		if len(w.tries) == 1 && w.tries[0].Outcome == history.Refused {
			a.refusal(f, w.tries[0])
		}
	}
	return f.result
}

// replayed carries the log out, write by write.
type replayed struct {
	*account
	*findings
	objects map[string]version
	// changed is the last entry that changed any object.
	changed uint64
}

func (r *replayed) entry(e *history.Entry) {
	// Before the writes of this entry; what they change has no revision yet.
	touched := map[string]bool{}
	for _, request := range e.Requests {
		if w := r.writes[request]; w != nil {
			r.write(w, e, touched)
		}
	}
	for _, o := range e.Put {
		r.objects[o.Name] = version{revision: e.Index, created: o.Created, value: o.Value}
	}
	for _, name := range e.Deleted {
		delete(r.objects, name)
	}
	if len(e.Put)+len(e.Deleted) > 0 {
		r.changed = e.Index
	}
}

func (r *replayed) write(w *write, e *history.Entry, touched map[string]bool) {
	o := w.operation()
	r.result.Checked++
	wrong := func(format string, args ...any) {
		r.add(o.Return, append(r.tell(w.tries...), describeEntry(e)), format, args...)
	}
	if slices.ContainsFunc(o.Objects, func(name string) bool { return r.doubtful[name] }) {
		return
	}
	changed := r.changed
	if len(touched) > 0 {
		changed = e.Index
	}
	if o.ExpectedState > 0 && changed > o.ExpectedState {
		wrong("a write that expected no change after revision %d was carried out at %d, and there was one at %d", o.ExpectedState, e.Index, changed)
	}
	for i, name := range o.Objects {
		v, exists := r.objects[name]
		switch {
		case o.MustNotExist && exists:
			wrong("%s was created at revision %d, and existed since %d", name, e.Index, v.created)
		case o.Expected > 0 && exists && (v.revision != o.Expected || touched[name]):
			wrong("%s was expected at revision %d and was at %d when it was changed at %d", name, o.Expected, v.revision, e.Index)
		case o.Expected > 0 && !exists && !(o.Action == history.Delete && o.IgnoreMissing):
			wrong("%s was expected at revision %d and was not there when it was changed at %d", name, o.Expected, e.Index)
		case o.Action == history.Delete && !exists && !o.IgnoreMissing:
			wrong("%s was deleted at revision %d and was not there", name, e.Index)
		}
		if i < len(o.Changes) && o.Outcome == history.Done {
			if want := change(o, exists); o.Changes[i] != want && o.Changes[i] != "unchanged" {
				wrong("%s was said to be %s at revision %d, and it was %s", name, o.Changes[i], e.Index, want)
			}
		}
		if o.Action == history.Delete {
			if exists {
				delete(r.objects, name)
				touched[name] = true
			}
			continue
		}
		next := version{revision: e.Index, created: v.created}
		if !exists {
			next.created = e.Index
		}
		if i < len(o.Values) {
			next.value = o.Values[i]
		}
		r.objects[name] = next
		touched[name] = true
	}
}

// change is what a write does to an object.
func change(o *history.Operation, exists bool) string {
	switch {
	case o.Action == history.Delete && exists:
		return "deleted"
	case o.Action == history.Delete:
		return "missing"
	case exists:
		return "updated"
	}
	return "created"
}

// refusal finds a write of one object that was refused for an expectation that
// held all the time.
func (a *account) refusal(f *findings, o *history.Operation) {
	if o.Code != "CONFLICT" || len(o.Objects) != 1 || o.ExpectedState > 0 || a.doubtful[o.Objects[0]] || (!a.whole && a.unsolved > 0) {
		return
	}
	name := o.Objects[0]
	from, _ := a.floor(o.Call)
	to := a.newest()
	if ceiling, _, ok := a.ceiling(o.Return); ok && ceiling > 0 {
		to = min(to, ceiling-1)
	}
	f.result.Checked++
	v, exists := a.at(name, from)
	if later, still := a.at(name, to); later != v || still != exists || a.changesWithin(name, from, to) {
		return
	}
	if o.MustNotExist && !exists || o.Expected > 0 && exists && v.revision == o.Expected {
		f.add(o.Return, append(a.tell(o), a.testimony(name)...), "a write of %s was refused, and what it expected was so from revision %d to %d", name, from, to)
	}
}

func (a *account) changesWithin(name string, from, to uint64) bool {
	return slices.ContainsFunc(a.versions[name], func(v version) bool { return v.revision > from && v.revision <= to })
}
