package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

const second = history.Micros(1_000_000)

// probed is a history of an hour-glass of one workload: set to "v-1" at 1 s,
// to "v-2" at 20 s, run by agent-1, quiet from 40 s to 60 s.
func probed() *history.History {
	h := &history.History{Meta: history.Meta{Version: history.Version, Began: 1, Whole: true, Quiet: 40 * second, Ended: 60 * second}}
	write := func(n int64, at history.Micros, value string, revision uint64) {
		h.Operations = append(h.Operations, history.Operation{Client: "mover", N: n, Action: history.Apply, Request: fmt.Sprint("r", n), Objects: []string{"w"},
			Values: []string{value}, Call: at, Return: at + 1000, Outcome: history.Done, Revision: revision, Term: 2})
	}
	write(1, second, "v-1", 100)
	write(2, 20*second, "v-2", 2000)
	// Others write all the time.
	for i := range history.Micros(581) {
		at := second + i*second/10
		h.Operations = append(h.Operations, history.Operation{Client: "writer", N: int64(i), Action: history.Apply, Request: fmt.Sprint("w", i), Objects: []string{"other"},
			Values: []string{fmt.Sprint("o-", i)}, Call: at, Return: at + 100, Outcome: history.Done, Revision: uint64(101 + 10*i), Term: 2})
	}
	runs(h, "w", "v-1", "agent-1", 11, 2*second, 21*second, true)
	runs(h, "w", "v-2", "agent-1", 12, 22*second, 60*second, false)
	for at := second; at <= 59*second; at += second {
		h.Looks = append(h.Looks, history.Look{Agent: "agent-1", At: at, Connected: true, Converged: 2000, Wanted: 2000})
		h.Samples = append(h.Samples, history.Sample{Process: "server-1", At: at, RSS: 100 << 20, Goroutines: 100, Files: 50})
	}
	led(h, "server-1", 2, 2)
	return h
}

func runs(h *history.History, workload, value, agent string, pid int, from, to history.Micros, stopped bool) {
	beat := history.Beat{Workload: workload, Value: value, Agent: agent, PID: pid, What: history.BeatStart, At: from}
	h.Beats = append(h.Beats, beat)
	beat.What = history.BeatOn
	for beat.At += second / 20; beat.At < to; beat.At += second / 20 {
		h.Beats = append(h.Beats, beat)
	}
	if beat.At = to; stopped {
		beat.What = history.BeatStop
	}
	h.Beats = append(h.Beats, beat)
}

func led(h *history.History, server string, term uint64, at history.Micros) {
	h.Leaderships = append(h.Leaderships, history.Leadership{Server: server, ID: server, Term: term, Gained: true, At: at})
}

func strike(h *history.History, kind string, from, to history.Micros, quorum bool, changes int, targets ...string) {
	h.Faults = append(h.Faults, history.Fault{Kind: kind, Begun: from, Struck: from + 1, Healing: to - 1, Healed: to, Quorum: quorum, Changes: changes, Targets: targets})
}

// without removes the beats of a process after a time.
func without(h *history.History, pid int, after history.Micros) {
	var kept []history.Beat
	for _, b := range h.Beats {
		if b.PID != pid || b.At <= after {
			kept = append(kept, b)
		}
	}
	h.Beats = kept
}

// drop lets nothing be acknowledged between two times: who asks first waits.
func drop(h *history.History, from, to history.Micros) {
	var kept []history.Operation
	waits := false
	for _, o := range h.Operations {
		if o.Call < from || o.Call > to || o.Client != "writer" {
			kept = append(kept, o)
		} else if !waits {
			waits = true
			o.Return, o.Outcome, o.Revision = to, history.Unknown, 0
			kept = append(kept, o)
		}
	}
	h.Operations = kept
}

// TestWorkloadsAndTime has histories beside those that are wrong that look much
// like them and are not: those name no checker.
func TestWorkloadsAndTime(t *testing.T) {
	for _, tc := range []struct {
		name  string
		by    string
		spoil func(h *history.History)
	}{
		{"all is well", "", func(*history.History) {}},
		{"a workload runs twice at once", "A1", func(h *history.History) { runs(h, "w", "v-2", "agent-2", 13, 21*second-5, 23*second, true) }},
		{"a new value starts before the old one has ended", "A1", func(h *history.History) { runs(h, "w", "v-x", "agent-1", 13, 20*second, 20*second+1, true) }},
		{"another workload runs at the same time", "", func(h *history.History) { runs(h, "u", "u-1", "agent-2", 13, 21*second, 60*second, false) }},
		{"a process finds another one", "A1", func(h *history.History) { clashes(h, "v-2", "agent-2", 50*second) }},
		{"a value is started at another agent while it runs", "A2", func(h *history.History) { clashes(h, "v-2", "agent-2", 50*second) }},
		{"a value is started where it runs", "A2", func(h *history.History) { clashes(h, "v-2", "agent-1", 50*second) }},
		{"a value is started where it runs after its agent was killed", "A2", func(h *history.History) {
			strike(h, "kill-agent", 49*second, 50*second, true, 0, "agent-1")
			clashes(h, "v-2", "agent-1", 51*second)
		}},
		{"a value runs on while its agent is killed", "", func(h *history.History) { strike(h, "kill-agent", 49*second, 50*second, true, 0, "agent-1") }},
		{"a value is started at another agent too", "A2", func(h *history.History) {
			without(h, 12, 30*second)
			runs(h, "w", "v-2", "agent-2", 13, 31*second, 60*second, false)
		}},
		{"a workload is restarted", "A4", func(h *history.History) {
			without(h, 12, 30*second)
			runs(h, "w", "v-2", "agent-1", 13, 31*second, 60*second, false)
		}},
		{"a workload is restarted after it was killed", "", func(h *history.History) {
			without(h, 12, 30*second)
			runs(h, "w", "v-2", "agent-1", 13, 31*second, 60*second, false)
			strike(h, "kill-workload", 30*second, 30*second+2, true, 0, "agent-1", "w")
		}},
		{"a workload is restarted after another one was killed", "A4", func(h *history.History) {
			without(h, 12, 30*second)
			runs(h, "w", "v-2", "agent-1", 13, 31*second, 60*second, false)
			strike(h, "kill-workload", 30*second, 30*second+2, true, 0, "agent-1", "u")
		}},
		{"a workload is restarted after the power of its agent was cut", "", func(h *history.History) {
			without(h, 12, 25*second)
			runs(h, "w", "v-2", "agent-1", 13, 31*second, 60*second, false)
			strike(h, "power-agent", 25*second, 30*second+2, true, 0, "agent-1")
		}},
		{"an instance has another id at its runtime", "A4", func(h *history.History) {
			for i, id := range []string{"100", "101"} {
				h.Sights = append(h.Sights, history.Sight{Watcher: "s", N: int64(i + 1), At: history.Micros(59*10+i) * second / 10, SnapshotBegin: i == 0, SnapshotEnd: i == 0, Revision: 5901,
					States: []history.State{{Workload: "w", Instance: "i", Agent: "agent-1", Text: "Running(Ok)", RuntimeID: id}}})
			}
			h.Sights[0].Put = []history.Object{{Name: "w", Value: "v-2", Revision: 2000}, {Name: "other", Value: "o-580", Revision: 5901}}
		}},
		{"a workload ends while no server is there", "A3", func(h *history.History) {
			without(h, 12, 30*second)
			strike(h, "kill-all", 25*second, 35*second, false, 1, "server-1", "server-2", "server-3")
		}},
		{"a workload is silent for long", "A3", func(h *history.History) {
			var kept []history.Beat
			for _, b := range h.Beats {
				if b.At < 25*second || b.At > 36*second {
					kept = append(kept, b)
				}
			}
			h.Beats = kept
		}},
		{"an agent does not come back", "A5", func(h *history.History) {
			for i := range h.Looks {
				h.Looks[i].Connected = h.Looks[i].At < 30*second
			}
		}},
		{"an agent takes long", "A5", func(h *history.History) {
			for i := range h.Looks {
				if h.Looks[i].At < 55*second {
					h.Looks[i].Converged = 1999
				}
			}
		}},
		{"an agent takes its time", "", func(h *history.History) {
			for i := range h.Looks {
				if h.Looks[i].At < 45*second {
					h.Looks[i].Converged = 1999
				}
			}
		}},
		{"what is wanted does not run in the end", "A5", func(h *history.History) { without(h, 12, 22*second) }},
		{"what was replaced runs on", "A6", func(h *history.History) {
			without(h, 11, 20*second)
			without(h, 12, 0)
			runs(h, "w", "v-1", "agent-1", 11, 20*second, 35*second, true)
			runs(h, "w", "v-2", "agent-1", 12, 36*second, 60*second, false)
		}},
		{"what was replaced runs on while its agent is cut off", "", func(h *history.History) {
			h.Beats = nil
			runs(h, "w", "v-1", "agent-1", 11, 2*second, 35*second, true)
			runs(h, "w", "v-2", "agent-1", 12, 36*second, 60*second, false)
			strike(h, "cut-agent", 19*second, 34*second, true, 0, "agent-1")
		}},
		{"no write is acknowledged for long after a fault", "L1", func(h *history.History) {
			drop(h, 25*second, 38*second)
			strike(h, "kill-leader", 25*second, 26*second, true, 1, "server-1")
		}},
		{"no write is acknowledged for long, for no reason", "L1", func(h *history.History) { drop(h, 25*second, 33*second) }},
		{"no write is acknowledged without a quorum", "", func(h *history.History) {
			drop(h, 25*second, 38*second)
			strike(h, "isolate-all", 24*second, 36*second, false, 1, "server-1", "server-2", "server-3")
		}},
		{"no write is acknowledged ever after", "L1", func(h *history.History) {
			drop(h, 25*second, 60*second)
			strike(h, "kill-leader", 25*second, 26*second, true, 1, "server-1")
		}},
		{"no write is acknowledged to who asks a server that is down", "", func(h *history.History) {
			drop(h, 25*second, 38*second)
			strike(h, "kill-server", 24*second, 38*second, true, 1, "server-1")
			for i := range h.Operations {
				if h.Operations[i].Outcome == history.Unknown {
					h.Operations[i].Server = "server-1"
				}
			}
		}},
		{"nobody asks for a write for long", "", func(h *history.History) {
			drop(h, 25*second, 33*second)
			h.Operations = slices.DeleteFunc(h.Operations, func(o history.Operation) bool { return o.Outcome == history.Unknown })
		}},
		{"leaders change while everything is taken apart", "", func(h *history.History) { led(h, "server-2", 3, 60*second) }},
		{"an error is logged while everything is taken apart", "", func(h *history.History) {
			h.Lines = []history.Line{{Process: "server-1", At: 60 * second, Kind: "error", Text: "level=ERROR"}}
		}},
		{"leaders change for no reason", "L2", func(h *history.History) { led(h, "server-2", 3, 30*second) }},
		{"leaders change because of a fault", "", func(h *history.History) {
			strike(h, "kill-leader", 29*second, 30*second, true, 1, "server-1")
			led(h, "server-2", 3, 30*second)
		}},
		{"leaders change more often than for a fault", "L2", func(h *history.History) {
			strike(h, "kill-leader", 29*second, 30*second, true, 1, "server-1")
			led(h, "server-2", 3, 30*second)
			led(h, "server-3", 4, 31*second)
		}},
		{"a fault that was left out explains nothing", "L2", func(h *history.History) {
			strike(h, "kill-leader", 29*second, 30*second, true, 1, "server-1")
			h.Faults[0].Skipped = true
			led(h, "server-2", 3, 30*second)
		}},
		{"leaders change after the machine did not run the leader", "", func(h *history.History) {
			led(h, "server-2", 3, 30*second)
			stall(h, "server-1", 29500*second/1000, 4, 50, 30)
		}},
		{"leaders change after the machine did not run the trial", "", func(h *history.History) {
			led(h, "server-2", 3, 30*second)
			stall(h, history.StallTrial, 29500*second/1000, 1, 130, 120)
		}},
		{"leaders change after the machine's disk hung", "", func(h *history.History) {
			led(h, "server-2", 3, 30*second)
			stall(h, history.StallDisk, 29200*second/1000, 1, 600, 600)
		}},
		{"a short stall explains nothing", "L2", func(h *history.History) {
			led(h, "server-2", 3, 30*second)
			stall(h, "server-1", 29500*second/1000, 1, 50, 50)
			stall(h, "server-2", 29500*second/1000, 1, 50, 50)
			stall(h, history.StallDisk, 29*second, 5, 200, 150)
		}},
		{"a server that is run a little less than it wants explains nothing", "L2", func(h *history.History) {
			led(h, "server-2", 3, 30*second)
			stall(h, "server-1", 28*second, 40, 50, 22)
		}},
		{"a stall from before that, or after, explains nothing", "L2", func(h *history.History) {
			led(h, "server-2", 3, 30*second)
			stall(h, "server-1", 28500*second/1000, 4, 50, 50)
			stall(h, "server-1", 31*second, 4, 50, 50)
		}},
		{"what is slow because of the machine", "", func(h *history.History) {
			drop(h, 25*second, 33*second)
			stall(h, "server-1", 26*second, 100, 50, 45)
		}},
		{"what is slower than because of the machine", "L1", func(h *history.History) {
			drop(h, 25*second, 33*second)
			stall(h, "server-1", 26*second, 100, 50, 20)
			stall(h, "server-1", 40*second, 100, 50, 50)
		}},
		{"an agent takes longer because of the machine", "", func(h *history.History) {
			for i := range h.Looks {
				if h.Looks[i].At < 53*second {
					h.Looks[i].Converged = 1999
				}
			}
			stall(h, "agent-1", 42*second, 100, 50, 45)
		}},
		{"goroutines are many for a while", "", func(h *history.History) {
			for i := range h.Samples[:len(h.Samples)-1] {
				if i > len(h.Samples)/2 {
					h.Samples[i].Goroutines += 5000
				}
			}
		}},
		{"memory grows", "L3", func(h *history.History) {
			for i := range h.Samples {
				h.Samples[i].RSS += int64(i) * (20 << 20)
			}
		}},
		{"goroutines are left behind", "L3", func(h *history.History) {
			for i := range h.Samples {
				h.Samples[i].Goroutines += int64(i) * 100
			}
		}},
		{"memory grows a little", "", func(h *history.History) {
			for i := range h.Samples {
				h.Samples[i].RSS += int64(i) << 20
			}
		}},
		{"a process panics", "Q1", func(h *history.History) {
			strike(h, "kill-leader", 29*second, 30*second, true, 1, "server-1")
			h.Lines = []history.Line{{Process: "server-1", At: 30 * second, Kind: "panic", Text: "panic: no"}}
		}},
		{"an error is logged while all is well", "Q1", func(h *history.History) {
			h.Lines = []history.Line{{Process: "server-1", At: 30 * second, Kind: "error", Text: "level=ERROR"}}
		}},
		{"an error is logged during a fault", "", func(h *history.History) {
			strike(h, "stall-disk", 29*second, 30*second, true, 1, "server-1")
			h.Lines = []history.Line{{Process: "server-1", At: 32 * second, Kind: "error", Text: "level=ERROR"}}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := probed()
			tc.spoil(h)
			v := Judge(h)
			found := v.Violations[tc.by]
			if tc.by != "" && found == 0 {
				t.Errorf("%s has found nothing; violations %v", tc.by, v.Violations)
			}
			if tc.by == "" && len(v.Violations) > 0 {
				t.Errorf("violations %v", v.Violations)
			}
			for name, r := range v.Results {
				for _, violation := range r.Violations {
					if tc.by == "" || testing.Verbose() {
						t.Logf("%s: %s\n%v", name, violation.What, violation.Evidence)
					}
				}
			}
		})
	}
}

// clashes has a process of the workload find another one running.
func clashes(h *history.History, value, agent string, at history.Micros) {
	h.Beats = append(h.Beats, history.Beat{Workload: "w", Value: value, Agent: agent, PID: 13, What: history.BeatClash, At: at})
}

// Whatever finds another one running is wrong, and was started twice only when
// what it found was of the same order.
func TestOnlyOneOrderThatIsStartedTwiceIsAStartTooMany(t *testing.T) {
	for name, spoil := range map[string]func(h *history.History){
		"the next value starts before the former has ended": func(h *history.History) { clashes(h, "v-2", "agent-1", 20500*second/1000) },
		"the value moves before the former has ended":       func(h *history.History) { clashes(h, "v-2", "agent-2", 20500*second/1000) },
		"the former has been told to end": func(h *history.History) {
			without(h, 12, 0)
			runs(h, "w", "v-2", "agent-1", 12, 22*second, 30*second, true)
			clashes(h, "v-2", "agent-1", 30*second+1)
		},
		"the former was killed": func(h *history.History) {
			without(h, 12, 30*second)
			strike(h, "kill-workload", 30*second, 30*second+2, true, 0, "agent-1", "w")
			clashes(h, "v-2", "agent-1", 30*second-1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := probed()
			spoil(h)
			v := Judge(h)
			if v.Violations["A1"] != 1 || v.Violations["A2"] != 0 {
				t.Errorf("violations %v", v.Violations)
			}
		})
	}
}

func TestLimitsAreLongerForABusyMachine(t *testing.T) {
	h := probed()
	drop(h, 25*second, 33*second)
	if v := Judge(h); v.Violations["L1"] == 0 {
		t.Error("nine seconds are short")
	}
	h.Meta.Cores, h.Meta.Load = 2, 8
	if v := Judge(h); v.Violations["L1"] != 0 {
		t.Error("nine seconds are long for a machine that does four times as much as it can")
	}
	a := newAccount(h)
	if h.Meta.Settings = map[string]string{SettingTiming: "2"}; a.patient(time.Second) != 8*time.Second {
		t.Errorf("patience %v", a.patience())
	}
}

// stall lets somebody wait in some times one after the other of so many
// milliseconds each, and for how many of them.
func stall(h *history.History, who string, from history.Micros, times, of, waited int64) {
	for range times {
		to := from + history.Micros(of*1000)
		h.Stalls = append(h.Stalls, history.Stall{Who: who, From: from, To: to, Micros: waited * 1000})
		from = to
	}
}

// On a machine that had other things to do nobody can say why a leader lost its
// place, unless it was recorded whom it did not run.
func TestLeadersAreJudgedOnABusyMachineToo(t *testing.T) {
	h := probed()
	led(h, "server-2", 3, 30*second)
	h.Meta.Cores, h.Meta.Load = 2, 8
	if v := Judge(h); v.Results["L2"].Checked != 0 || v.Violations["L2"] != 0 {
		t.Errorf("without a record of stalls: %+v", v.Results["L2"])
	}
	h.Meta.Promised = []string{history.KindStalls}
	if v := Judge(h); v.Violations["L2"] != 1 || v.Unjudged[Trial] != "" {
		t.Errorf("with one: %+v, %v", v.Results["L2"], v.Unjudged)
	}
	// What is too little to excuse it is told beside it, the longest first.
	stall(h, "server-3", 29500*second/1000, 1, 90, 70)
	stall(h, "server-2", 29600*second/1000, 1, 90, 80)
	stall(h, "server-2", 10*second, 1, 90, 80)
	violation := Judge(h).Results["L2"].Violations[0]
	if n := len(violation.Evidence); n < 2 || !strings.Contains(violation.Evidence[n-2], "kept server-2 waiting for 80ms") || !strings.Contains(violation.Evidence[n-1], "kept server-3 waiting for 70ms") {
		t.Errorf("it is shown by %q", violation.Evidence)
	}
	stall(h, "server-1", 29500*second/1000, 4, 50, 30)
	if v := Judge(h); v.Violations["L2"] != 0 {
		t.Errorf("with a stall: %+v", v.Results["L2"])
	}
}
