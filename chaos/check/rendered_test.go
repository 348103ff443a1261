package check

import (
	"slices"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// templated is a history in which two configs are written at revision 10, with a
// workload that uses both, and then one of them at 20 and both at 30.
func templated() *history.History {
	h := &history.History{Meta: history.Meta{Version: history.Version, Whole: true, Quiet: 80 * second, Ended: 90 * second}}
	user := func(revision uint64, rendered string) history.Object {
		return history.Object{Name: "rendered-0", Value: "t_{{one}}_{{two}}", Revision: revision, Created: 10, Uses: "one=config-0-0 two=config-0-1", Rendered: rendered}
	}
	config := func(key, value string, revision uint64) history.Object {
		return history.Object{Name: key, Value: value, Revision: revision, Created: 10}
	}
	write := func(n int64, revision uint64, objects, values []string, put ...history.Object) {
		at := history.Micros(revision) * second
		o := history.Operation{
			Client: "configurer-0", N: n, Action: history.Apply, Request: "r" + values[0], Objects: objects, Values: values,
			Call: at, Return: at + 1000, Outcome: history.Done, Revision: revision, Term: 2,
		}
		h.Operations = append(h.Operations, o)
		for i := range h.Replicas {
			r := &h.Replicas[i]
			r.Entries = append(r.Entries, history.Entry{Index: revision, Term: 2, Sum: values[0], Requests: []string{o.Request}, Put: slices.Clone(put)})
		}
	}
	h.Replicas = []history.Replica{{Server: "server-1"}, {Server: "server-2"}, {Server: "server-3"}}
	first, last := user(10, "t_a_b"), user(30, "t_d_e")
	write(1, 10, []string{"rendered-0", "config-0-0", "config-0-1"}, []string{"t_{{one}}_{{two}}", "a", "b"}, config("config-0-0", "a", 10), config("config-0-1", "b", 10), first)
	write(2, 20, []string{"config-0-0"}, []string{"c"}, config("config-0-0", "c", 20), user(20, "t_c_b"))
	write(3, 30, []string{"config-0-0", "config-0-1"}, []string{"d", "e"}, config("config-0-0", "d", 30), config("config-0-1", "e", 30), last)
	end := []history.Object{config("config-0-0", "d", 30), config("config-0-1", "e", 30), last}
	for i := range h.Replicas {
		r := &h.Replicas[i]
		r.First, r.Last, r.Revision, r.Objects = 1, 40, 40, slices.Clone(end)
	}
	h.Operations = append(h.Operations,
		history.Operation{Client: "reader-0", N: 1, Action: history.Get, Objects: []string{"rendered-0"}, Call: 25 * second, Return: 25*second + 500, Outcome: history.Done, Revision: 22, Found: []history.Object{user(20, "t_c_b")}},
		history.Operation{Client: "lister-0", N: 1, Action: history.List, Call: 35 * second, Return: 35*second + 500, Outcome: history.Done, Revision: 32, Found: slices.Clone(end)})
	h.Sights = []history.Sight{
		{Watcher: "watcher-0", N: 1, At: 15 * second, SnapshotBegin: true, SnapshotEnd: true, Revision: 12, Put: []history.Object{config("config-0-0", "a", 10), config("config-0-1", "b", 10), first}},
		{Watcher: "watcher-0", N: 2, At: 21 * second, Revision: 20, Put: []history.Object{config("config-0-0", "c", 20), user(20, "t_c_b")}},
		{Watcher: "watcher-0", N: 3, At: 31 * second, Revision: 30, Put: end},
	}
	runs(h, "rendered-0", "t_a_b", "agent-1", 1, 11*second, 21*second, true)
	runs(h, "rendered-0", "t_c_b", "agent-1", 2, 22*second, 31*second, true)
	runs(h, "rendered-0", "t_d_e", "agent-1", 3, 32*second, 90*second, false)
	led(h, "server-1", 2, 2)
	h.Looks = []history.Look{{Agent: "agent-1", At: 90 * second, Connected: true, Converged: 30, Wanted: 30}}
	return h
}

func TestWorkloadsThatUseConfigsAreJudged(t *testing.T) {
	h := templated()
	if v := Judge(h); !v.Held() {
		for invariant, r := range v.Results {
			t.Logf("%s: %+v %s", invariant, r.Violations, r.Unjudged)
		}
		t.Errorf("a history in which nothing is wrong: violations %v, unjudged %v", v.Violations, v.Unjudged)
	}
	if r := rendered(newAccount(h)); r.Checked < 10 {
		t.Errorf("%d things were checked", r.Checked)
	}
	// Nobody named it, and it changed all the same.
	if r := independent(newAccount(h)); r.Found > 0 || r.Checked == 0 {
		t.Errorf("porcupine: %+v", r)
	}
}

func TestWhatIsRenderedWronglyIsFound(t *testing.T) {
	put := func(h *history.History, entry, object int) []*history.Object {
		var all []*history.Object
		for i := range h.Replicas {
			all = append(all, &h.Replicas[i].Entries[entry].Put[object])
		}
		return all
	}
	for _, tc := range []struct {
		name, by string
		spoil    func(h *history.History)
	}{
		{"rendered with a config from before", "S13", func(h *history.History) {
			for _, o := range put(h, 1, 1) {
				o.Rendered = "t_a_b"
			}
		}},
		{"rendered with one config from before", "S13", func(h *history.History) {
			for _, o := range put(h, 2, 2) {
				o.Rendered = "t_d_b"
			}
		}},
		{"not rendered anew", "S13", func(h *history.History) {
			everywhere(h, func(r *history.Replica) { r.Entries[1].Put = r.Entries[1].Put[:1] })
		}},
		{"uses a config that was deleted", "S13", func(h *history.History) {
			everywhere(h, func(r *history.Replica) {
				r.Entries = append(r.Entries, history.Entry{Index: 35, Term: 2, Sum: "gone", Deleted: []string{"config-0-1"}})
			})
		}},
		{"a reader is shown another text", "S13", func(h *history.History) { h.Operations[3].Found[0].Rendered = "t_a_b" }},
		{"a list is a mix", "S13", func(h *history.History) { h.Operations[4].Found[2].Rendered = "t_c_e" }},
		{"a watch shows another text", "S13", func(h *history.History) { h.Sights[2].Put[2].Rendered = "t_c_b" }},
		{"a replica has another text", "S13", func(h *history.History) { h.Replicas[2].Objects[2].Rendered = "t_c_b" }},
		{"something runs that it never was", "S13", func(h *history.History) { runs(h, "rendered-0", "t_c_e", "agent-1", 4, 31*second, 31*second, true) }},
		{"a config is not what was written", "S1", func(h *history.History) {
			for _, o := range put(h, 1, 0) {
				o.Value = "x"
			}
		}},
		{"the newest is not what runs", "A5", func(h *history.History) {
			h.Beats = slices.DeleteFunc(h.Beats, func(b history.Beat) bool { return b.PID == 3 })
		}},
		{"the one before runs on", "A6", func(h *history.History) { runs(h, "rendered-0", "t_c_b", "agent-2", 5, 23*second, 60*second, true) }},
		{"started again though nothing was written", "A4", func(h *history.History) { runs(h, "rendered-0", "t_c_b", "agent-1", 6, 31*second+1, 31*second+2, true) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := templated()
			tc.spoil(h)
			if v := Judge(h); v.Violations[tc.by] == 0 {
				t.Errorf("%s does not find it: violations %v", tc.by, v.Violations)
			}
		})
	}
}
