package check

import (
	"testing"

	"github.com/argosy-cluster/argosy/chaos/history"
)

func TestWorkloadsStartAndStopInOrder(t *testing.T) {
	type process struct {
		workload, value string
		start, end      history.Micros
		stopped         bool
	}
	ran := func(workload, value string, start, end history.Micros) process {
		return process{workload, value, start, end, true}
	}
	for _, tc := range []struct {
		name      string
		processes []process
		fault     string
		updated   bool
		anew      bool
		found     int64
	}{
		{"in order", []process{ran("base-0", "b", 20*second, 40*second), ran("user-0", "u", 21*second, 39*second)}, "", false, false, 0},
		{"started before it", []process{ran("base-0", "b", 22*second, 40*second), ran("user-0", "u", 21*second, 39*second)}, "", false, false, 1},
		{"started without it", []process{ran("user-0", "u", 21*second, 39*second)}, "", false, false, 1},
		{"started long after it", []process{ran("base-0", "a", 2*second, 10*second), ran("user-0", "u", 21*second, 39*second)}, "", false, false, 1},
		{"restarted without it", []process{ran("base-0", "b", 20*second, 25*second), {"user-0", "u", 21 * second, 24 * second, false}, ran("user-0", "u", 35*second, 39*second)}, "", false, false, 0},
		{"started without it while an agent is cut off", []process{ran("user-0", "u", 21*second, 39*second)}, "cut-agent", false, false, 0},
		{"stopped before those that depend on it", []process{ran("base-0", "b", 20*second, 38*second), ran("user-0", "u", 21*second, 39*second)}, "", false, false, 1},
		{"updated before those that depend on it", []process{ran("base-0", "b", 20*second, 38*second), ran("user-0", "u", 21*second, 39*second)}, "", true, false, 0},
		{"stopped before those that came later", []process{ran("base-0", "b", 20*second, 38*second), ran("user-0", "u", 21*second, 39*second)}, "", false, true, 0},
		{"killed before those that depend on it", []process{{"base-0", "b", 20 * second, 38 * second, false}, ran("user-0", "u", 21*second, 39*second)}, "", false, false, 0},
		{"others depend on nothing", []process{ran("probe-0", "p", 20*second, 38*second)}, "", false, false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &history.History{Meta: history.Meta{Version: history.Version, Whole: true, Ended: 90 * second}, Looks: []history.Look{{Agent: "agent-1", At: 80 * second}}}
			for i, p := range tc.processes {
				b := history.Beat{Workload: p.workload, Value: p.value, Agent: "agent-1", PID: i + 1, What: history.BeatStart, At: p.start}
				h.Beats = append(h.Beats, b)
				if b.What, b.At = history.BeatOn, p.end; p.stopped {
					b.What = history.BeatStop
				}
				h.Beats = append(h.Beats, b)
			}
			if tc.fault != "" {
				strike(h, tc.fault, 15*second, 22*second, true, 0, "agent-1")
			}
			a := newAccount(h)
			a.versions = map[string][]version{"base-0": {{revision: 1, value: "b"}, {revision: 2, gone: !tc.updated, value: "c"}}}
			if tc.anew {
				a.versions["user-0"] = []version{{revision: 3, value: "u"}}
			}
			if r := order(a); r.Found != tc.found {
				t.Errorf("found %d violations, want %d: %+v", r.Found, tc.found, r.Violations)
			}
		})
	}
}
