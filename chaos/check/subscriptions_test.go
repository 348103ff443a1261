package check

import (
	"slices"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// subscribed is the history of templated with two who were told of it.
func subscribed() *history.History {
	h := templated()
	object := func(name, value string) history.Object { return history.Object{Name: name, Value: value} }
	const workload = "t_{{one}}_{{two}}"
	h.Events = []history.Event{
		{Subscriber: "subscriber-0", Stream: 1, N: 1, At: 12 * second, Revision: 12, Current: true, Put: []history.Object{object("rendered-0", workload), object("config-0-0", "a"), object("config-0-1", "b")}},
		{Subscriber: "subscriber-0", Stream: 1, N: 2, At: 20 * second, Revision: 20, Put: []history.Object{object("config-0-0", "c")}},
		{Subscriber: "subscriber-0", Stream: 1, N: 3, At: 31 * second, Revision: 31, Restarted: true, Put: []history.Object{object("config-0-0", "d"), object("config-0-1", "e")}},
		{Subscriber: "subscriber-0", Stream: 1, At: 40 * second, Revision: 40, Over: true},
		{Subscriber: "subscriber-1", Stream: 1, N: 1, At: 5 * second, Revision: 5, Current: true, Workloads: true},
		{Subscriber: "subscriber-1", Stream: 1, N: 2, At: 10 * second, Revision: 10, Workloads: true, Put: []history.Object{object("rendered-0", workload)}},
		{Subscriber: "subscriber-1", Stream: 1, At: 40 * second, Revision: 40, Workloads: true, Over: true},
	}
	return h
}

func TestWhoIsToldByEventsIsJudged(t *testing.T) {
	gone := func(h *history.History) {
		everywhere(h, func(r *history.Replica) {
			r.Entries = append(r.Entries, history.Entry{Index: 35, Term: 2, Sum: "gone", Deleted: []string{"rendered-0"}})
		})
	}
	for _, tc := range []struct {
		name  string
		spoil func(h *history.History)
		wrong bool
	}{
		{"all is well", func(*history.History) {}, false},
		{"a workload is removed", func(h *history.History) {
			gone(h)
			h.Events[3] = history.Event{Subscriber: "subscriber-0", Stream: 1, N: 4, At: 35 * second, Revision: 36, Removed: []string{"desiredState.workloads"}}
			h.Events[6] = history.Event{Subscriber: "subscriber-1", Stream: 1, N: 3, At: 35 * second, Revision: 36, Workloads: true, Removed: []string{"desiredState.workloads.rendered-0.runtimeConfig"}}
		}, false},
		{"a removal is not told", gone, true},
		{"what stays is removed", func(h *history.History) { h.Events[2].Removed = []string{"desiredState.workloads.rendered-0"} }, true},
		{"another field is removed", func(h *history.History) {
			h.Events[2].Removed = []string{"desiredState.workloads.rendered-0.tags", "workloadStates.agent-1"}
		}, false},
		{"an event is lost", func(h *history.History) { h.Events = slices.Delete(h.Events, 1, 2) }, true},
		{"a change is lost", func(h *history.History) { h.Events[2].Put = h.Events[2].Put[:1] }, true},
		{"the last change is lost", func(h *history.History) { h.Events = slices.Delete(h.Events, 2, 3) }, true},
		{"a change is told twice", func(h *history.History) { h.Events[2].Put = append(h.Events[2].Put, h.Events[0].Put[0]) }, true},
		{"a change comes too early", func(h *history.History) { h.Events[1].Revision = 19 }, true},
		{"an event comes twice", func(h *history.History) { h.Events = slices.Insert(h.Events, 2, h.Events[1]) }, true},
		{"events go back", func(h *history.History) { h.Events[2].Revision = 15 }, true},
		{"it begins with a change", func(h *history.History) { h.Events[0].Current = false }, true},
		{"it begins again", func(h *history.History) { h.Events[1].Current = true }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := subscribed()
			tc.spoil(h)
			if r := subscriptions(newAccount(h)); (r.Found > 0) != tc.wrong || r.Unjudged != "" {
				t.Errorf("found %d: %+v, unjudged %q", r.Found, r.Violations, r.Unjudged)
			}
		})
	}
}
