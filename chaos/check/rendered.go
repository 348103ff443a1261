package check

import (
	"maps"
	"slices"
	"strings"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// rendered judges S13: at every revision a workload is rendered with the configs of
// that same revision, in the log and in what anybody was shown; and nothing runs
// that it was never rendered to.
func rendered(a *account) Result {
	f := find("S13")
	a.renderedInLog(f)
	for i := range a.h.Operations {
		o := &a.h.Operations[i]
		for _, found := range o.Found {
			a.renderedAt(f, found, max(o.Revision, found.Revision), o.Return, func() []string { return a.tell(o) })
		}
	}
	for i := range a.h.Sights {
		s := &a.h.Sights[i]
		for _, put := range s.Put {
			a.renderedAt(f, put, put.Revision, s.At, func() []string { return a.tellSights(s) })
		}
	}
	for i := range a.h.Replicas {
		r := &a.h.Replicas[i]
		for _, o := range r.Objects {
			a.renderedAt(f, o, r.Revision, a.h.Meta.Ended, func() []string { return []string{"in the end on " + r.Server} })
		}
	}
	a.ranAsRendered(f)
	if !a.whole && a.unsolved > 0 && f.result.Checked > 0 {
		f.cannot("no log was read from its first entry on: the fate of %d writes is not known, and %d objects were not judged", a.unsolved, len(a.doubtful))
	}
	return f.result
}

// renderedInLog finds entries that change a workload or a config that it uses, and
// do not render it with what they leave.
func (a *account) renderedInLog(f *findings) {
	users := map[string]string{}
	for i := range a.log {
		e := &a.log[i]
		changed := slices.Clone(e.Deleted)
		for _, o := range e.Put {
			changed = append(changed, o.Name)
			delete(users, o.Name)
			if o.Rendered != "" {
				users[o.Name] = o.Uses
			}
		}
		for _, name := range e.Deleted {
			delete(users, name)
		}
		for _, name := range slices.Sorted(maps.Keys(users)) {
			if !slices.ContainsFunc(changed, func(each string) bool { return each == name || uses(users[name], each) }) {
				continue
			}
			v, _ := a.at(name, e.Index)
			o := history.Object{Name: name, Value: v.value, Revision: v.revision, Uses: v.uses, Rendered: v.rendered}
			a.renderedAt(f, o, e.Index, a.asked(e), func() []string { return []string{describeEntry(e)} })
		}
	}
}

// uses tells whether a config is among those that a workload uses.
func uses(all, config string) bool {
	for _, key := range history.EachUse(all) {
		if key == config {
			return true
		}
	}
	return false
}

// asked is when the first write of an entry was called, 0 when nobody knows.
func (a *account) asked(e *history.Entry) history.Micros {
	for _, request := range e.Requests {
		if w := a.writes[request]; w != nil {
			return w.first
		}
	}
	return 0
}

// renderedAt holds what a workload is rendered to at a revision against its template
// and the configs of that revision.
func (a *account) renderedAt(f *findings, o history.Object, revision uint64, at history.Micros, evidence func() []string) {
	if o.Rendered == "" || a.doubtful[o.Name] {
		return
	}
	var pairs, with []string
	for alias, key := range history.EachUse(o.Uses) {
		config, there := a.at(key, revision)
		if a.doubtful[key] {
			return
		}
		pairs = append(pairs, "{{"+alias+"}}", config.value)
		with = append(with, describeVersion(key, config, there))
	}
	f.result.Checked++
	if want := strings.NewReplacer(pairs...).Replace(o.Value); o.Rendered != want {
		f.add(at, append(evidence(), "the configs: "+strings.Join(with, ", ")), "%s is rendered to %s at revision %d, and should be %s", describeObject(o), o.Rendered, revision, want)
	}
}

// ranAsRendered finds processes of workloads with templates that were started as
// something that no revision had.
func (a *account) ranAsRendered(f *findings) {
	byWorkload, names := a.lives()
	for _, name := range names {
		all := a.versions[name]
		if a.doubtful[name] || !slices.ContainsFunc(all, func(v version) bool { return v.rendered != "" }) {
			continue
		}
		for _, l := range byWorkload[name] {
			f.result.Checked++
			if !slices.ContainsFunc(all, func(v version) bool { return v.runs() == l.value }) {
				f.add(l.start, append(a.tellLives(l), a.testimony(name)...), "%s ran as %s, which it was never rendered to", name, l.value)
			}
		}
	}
}

// runs is the value with which a version of a workload runs.
func (v version) runs() string {
	if v.rendered != "" {
		return v.rendered
	}
	return v.value
}

// rerenders are the writes that rendered a workload anew without naming it: those of
// the same entry that concern a config which it uses.
func (a *account) rerenders(name string, revision uint64) []*write {
	e := a.entry(revision)
	v, there := a.at(name, revision)
	if e == nil || !there || v.revision != revision {
		return nil
	}
	var all []*write
	for _, request := range e.Requests {
		w := a.writes[request]
		if w == nil {
			continue
		}
		if slices.Contains(w.tries[0].Objects, name) {
			return nil
		}
		if slices.ContainsFunc(w.tries[0].Objects, func(name string) bool { return uses(v.uses, name) }) {
			all = append(all, w)
		}
	}
	return all
}
