package check

import (
	"testing"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// prints adds a process that prints a line every 200 ms, from its start on, and
// says so in its signs of life.
func prints(h *history.History, pid int, from, to history.Micros, stopped bool) {
	b := history.Beat{Workload: "w", Value: "v", Agent: "agent-1", PID: pid, What: history.BeatStart, At: from}
	h.Beats = append(h.Beats, b)
	b.What = history.BeatOn
	for b.At += second / 20; b.At < to; b.At += second / 20 {
		b.Lines = int64((b.At-from-second/20)/(second/5)) + 1
		h.Beats = append(h.Beats, b)
	}
	if stopped {
		b.What, b.At = history.BeatStop, to
		h.Beats = append(h.Beats, b)
	}
}

// shown is a run of lines of a process that began at a second and was followed as
// they were printed.
func shown(stream int64, pid int, began history.Micros, from, to int64) history.LogRun {
	at := func(line int64) history.Micros { return began + history.Micros(line-1)*second/5 + 1000 }
	return history.LogRun{Follower: "f", Stream: stream, Workload: "w", Instance: "i", Agent: "agent-1", Value: "v", PID: pid,
		From: from, To: to, First: at(from), Last: at(to), Until: at(to) + 1000}
}

func ending(run history.LogRun, why string, at history.Micros) history.LogRun {
	run.End, run.Why, run.Until = true, why, at
	return run
}

func until(run history.LogRun, at history.Micros) history.LogRun {
	run.Until = at
	return run
}

// nothing is a call that was shown nothing.
func nothing(from, to history.Micros) history.LogRun {
	return history.LogRun{Follower: "f", Stream: 1, Workload: "w", Nothing: true, First: from, Last: to, Until: to}
}

// TestAFollowedLog follows process 11, which printed 100 lines from second 1 to
// 21 and was told to end then, and process 12, which printed 100 from 22 to 42 and
// was killed.
func TestAFollowedLog(t *testing.T) {
	whole := func(run history.LogRun) history.LogRun { run.All = true; return run }
	broken := func(run history.LogRun, why string) history.LogRun { run.Why = why; return run }
	dropped := func(run history.LogRun) history.LogRun { run.Dropped = true; return run }
	foreign := history.LogRun{Follower: "f", Stream: 1, Workload: "w", Instance: "i", Agent: "agent-1", Foreign: `"line 3 o"`, First: 10 * second, Until: 10 * second}
	first, last := shown(1, 11, second, 1, 100), shown(1, 12, 22*second, 1, 100)
	for _, tc := range []struct {
		name  string
		runs  []history.LogRun
		fault string
		found int64
	}{
		{"all of it, to the end", []history.LogRun{whole(ending(first, "", 22*second))}, "", 0},
		{"its last lines", []history.LogRun{ending(shown(1, 11, second, 40, 100), "", 22*second)}, "", 0},
		{"the whole log begins in the middle", []history.LogRun{whole(ending(shown(1, 11, second, 2, 100), "", 22*second))}, "", 1},
		{"its machine lost its power, and lines with it", []history.LogRun{whole(ending(shown(1, 11, second, 2, 90), "", 22*second))}, "power-agent", 0},
		{"another fault loses no lines", []history.LogRun{ending(shown(1, 11, second, 2, 90), "", 22*second)}, "kill-keeper", 1},
		{"the follower leaves", []history.LogRun{shown(1, 11, second, 40, 60)}, "", 0},
		{"and comes back in another call", []history.LogRun{shown(1, 11, second, 40, 60), shown(2, 11, second, 55, 70)}, "", 0},
		{"a line comes twice", []history.LogRun{shown(1, 11, second, 40, 60), shown(1, 11, second, 60, 80)}, "", 1},
		{"the log begins anew", []history.LogRun{shown(1, 11, second, 1, 60), shown(1, 11, second, 1, 80)}, "", 1},
		{"a line is missing", []history.LogRun{shown(1, 11, second, 40, 60), shown(1, 11, second, 62, 80)}, "", 1},
		{"lines are interchanged", []history.LogRun{shown(1, 11, second, 40, 60), shown(1, 11, second, 62, 62), shown(1, 11, second, 61, 61)}, "", 2},
		{"something else comes between", []history.LogRun{shown(1, 11, second, 1, 45), foreign, shown(1, 11, second, 46, 60)}, "", 2},
		{"two logs at once", []history.LogRun{shown(1, 11, second, 40, 60), {Follower: "f", Stream: 1, Workload: "other", Instance: "i", Agent: "agent-1", PID: 9, From: 3, To: 4, First: 10 * second, Last: 10 * second, Until: 10 * second}}, "", 0},
		{"it goes on with the next process", []history.LogRun{first, ending(last, "", 43*second)}, "", 0},
		{"the next process does not begin with its first line", []history.LogRun{first, shown(1, 12, 22*second, 2, 90)}, "", 1},
		{"the end of the process before is missing", []history.LogRun{shown(1, 11, second, 1, 99), last}, "", 1},
		{"processes take turns", []history.LogRun{first, shown(1, 12, 22*second, 1, 9), shown(1, 11, second, 100, 100)}, "", 1},
		{"the end is missing", []history.LogRun{ending(shown(1, 11, second, 1, 99), "", 22*second)}, "", 1},
		{"the end is missing, and that was said", []history.LogRun{ending(shown(1, 11, second, 1, 80), "lost agent agent-1", 17*second+2000)}, "", 0},
		{"the call broke, and said why", []history.LogRun{broken(shown(1, 11, second, 1, 80), "connection refused")}, "", 0},
		{"the call ended without a word", []history.LogRun{dropped(shown(1, 11, second, 1, 80))}, "", 1},
		{"it ended, and the process went on", []history.LogRun{ending(shown(1, 11, second, 1, 80), "", 17*second)}, "", 1},
		{"it ended, and went on", []history.LogRun{ending(first, "", 21*second), shown(1, 12, 22*second, 1, 9)}, "", 1},
		{"nothing came for a while", []history.LogRun{until(shown(1, 11, second, 1, 40), 18*second)}, "", 0},
		{"nothing came any more", []history.LogRun{until(shown(1, 11, second, 1, 40), 20*second)}, "", 1},
		{"nothing came any more while it was cut off", []history.LogRun{until(shown(1, 11, second, 1, 40), 20*second)}, "cut-agent", 0},
		{"the end came not at once", []history.LogRun{until(first, 30*second)}, "", 0},
		{"the end never came", []history.LogRun{until(first, 32*second)}, "", 1},
		{"nothing came at all", []history.LogRun{nothing(2*second, 15*second)}, "", 1},
		{"nothing came at all for a while", []history.LogRun{nothing(2*second, 10*second)}, "", 0},
		{"the call ended and nothing had come", []history.LogRun{dropped(nothing(2*second, 15*second))}, "", 0},
		{"nothing came at all while it was cut off", []history.LogRun{nothing(2*second, 15*second)}, "cut-agent", 0},
		{"nothing was there when it was asked for", []history.LogRun{nothing(second/2, 15*second)}, "", 0},
		{"nobody knows whether a killed process has ended", []history.LogRun{until(last, 60*second)}, "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &history.History{Meta: history.Meta{Version: history.Version, Whole: true, Ended: 60 * second}, LogRuns: tc.runs}
			prints(h, 11, second, 21*second, true)
			prints(h, 12, 22*second, 42*second, false)
			if tc.fault != "" {
				strike(h, tc.fault, 5*second, 15*second, true, 0, "agent-1")
			}
			r := followed(newAccount(h))
			if r.Found != tc.found {
				t.Errorf("found %d violations, want %d: %+v", r.Found, tc.found, r.Violations)
			}
			if r.Checked == 0 {
				t.Error("nothing was checked")
			}
		})
	}
}
