package check

import (
	"slices"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// mustFind returns the place of the last operation before the last few that is as
// wanted.
func mustFind(t *testing.T, h *history.History, wanted func(*history.Operation) bool) int {
	t.Helper()
	for i := len(h.Operations) * 3 / 4; i > 0; i-- {
		if wanted(&h.Operations[i]) {
			return i
		}
	}
	t.Fatal("no such operation")
	return 0
}

func acknowledged(o *history.Operation) bool {
	return o.Action == history.Apply && o.Outcome == history.Done && !o.Replayed && len(o.Objects) == 1
}

// everywhere changes the logs of all replicas.
func everywhere(h *history.History, change func(r *history.Replica)) {
	for i := range h.Replicas {
		change(&h.Replicas[i])
	}
}

func at(r *history.Replica, index uint64) int {
	return slices.IndexFunc(r.Entries, func(e history.Entry) bool { return e.Index == index })
}

// TestWhatIsWrongIsFound changes histories in which nothing is wrong, as a cluster
// would that has a bug, and wants it found by the checker whose business it is.
func TestWhatIsWrongIsFound(t *testing.T) {
	for _, tc := range []struct {
		name  string
		by    string
		spoil func(t *testing.T, h *history.History)
	}{
		{"an acknowledged write is in no log", "S1", func(t *testing.T, h *history.History) {
			i := mustFind(t, h, acknowledged)
			everywhere(h, func(r *history.Replica) {
				n := at(r, h.Operations[i].Revision)
				r.Entries = slices.Delete(slices.Clone(r.Entries), n, n+1)
			})
		}},
		{"an acknowledged write is not in one log", "S1", func(t *testing.T, h *history.History) {
			i := mustFind(t, h, acknowledged)
			r := &h.Replicas[1]
			n := at(r, h.Operations[i].Revision)
			r.Entries = slices.Delete(slices.Clone(r.Entries), n, n+1)
		}},
		{"the last acknowledged writes are in no log", "S1", func(_ *testing.T, h *history.History) {
			everywhere(h, func(r *history.Replica) {
				r.Entries = slices.Clone(r.Entries[:len(r.Entries)-3])
				r.Last = r.Entries[len(r.Entries)-1].Index
			})
		}},
		{"another write is where an acknowledged one was", "S1", func(t *testing.T, h *history.History) {
			i := mustFind(t, h, acknowledged)
			everywhere(h, func(r *history.Replica) {
				r.Entries = slices.Clone(r.Entries)
				r.Entries[at(r, h.Operations[i].Revision)].Requests = []string{"another"}
			})
		}},
		{"a write became something else", "S1", func(t *testing.T, h *history.History) {
			i := mustFind(t, h, acknowledged)
			everywhere(h, func(r *history.Replica) {
				r.Entries = slices.Clone(r.Entries)
				e := &r.Entries[at(r, h.Operations[i].Revision)]
				e.Put = slices.Clone(e.Put)
				e.Put[0].Value = "else"
			})
		}},
		{"an object is missing in the end", "S1", func(_ *testing.T, h *history.History) {
			h.Replicas[2].Objects = h.Replicas[2].Objects[1:]
		}},
		{"a write is carried out twice", "S2", func(t *testing.T, h *history.History) {
			i := mustFind(t, h, acknowledged)
			everywhere(h, func(r *history.Replica) {
				e := r.Entries[at(r, h.Operations[i].Revision)]
				e.Index = r.Last + 1
				r.Entries, r.Last = append(slices.Clone(r.Entries), e), r.Last+1
			})
		}},
		{"a repeated write is answered with another revision", "S2", func(t *testing.T, h *history.History) {
			i := mustFind(t, h, func(o *history.Operation) bool { return o.Replayed })
			again := h.Operations[i]
			again.Revision++
			h.Operations = slices.Insert(h.Operations, i+1, again)
		}},
		{"a refused write is carried out", "S2", func(t *testing.T, h *history.History) {
			i := mustFind(t, h, acknowledged)
			h.Operations[i].Outcome, h.Operations[i].Revision, h.Operations[i].Code = history.Refused, 0, "CONFLICT"
		}},
		{"a write that was refused for good is carried out", "S2", func(t *testing.T, h *history.History) {
			i := mustFind(t, h, acknowledged)
			everywhere(h, func(r *history.Replica) {
				e := history.Entry{Index: r.Last + 1, Term: r.Entries[len(r.Entries)-1].Term, Sum: "refusal", Refused: []string{h.Operations[i].Request}}
				r.Entries, r.Last = append(slices.Clone(r.Entries), e), r.Last+1
			})
		}},
		{"two lead in one term", "S3", func(_ *testing.T, h *history.History) {
			h.Leaderships = append(h.Leaderships, history.Leadership{Server: "server-2", ID: "id-2", Term: 2, Gained: true, At: 9})
		}},
		{"a read is from before what was acknowledged", "S4", func(t *testing.T, h *history.History) {
			o := &h.Operations[mustFind(t, h, func(o *history.Operation) bool {
				return o.Action == history.Get && !o.Stale && o.Revision > 100
			})]
			a := newAccount(h)
			o.Revision -= 50
			o.Found = nil
			if v, there := a.at(o.Objects[0], o.Revision); there {
				o.Found = []history.Object{{Name: o.Objects[0], Value: v.value, Revision: v.revision, Created: v.created}}
			}
		}},
		{"a read is of a value that was replaced", "S4", func(t *testing.T, h *history.History) {
			o := &h.Operations[mustFind(t, h, func(o *history.Operation) bool {
				return o.Action == history.Get && !o.Stale && len(o.Found) == 1 && o.Found[0].Revision != o.Found[0].Created
			})]
			o.Found[0].Value, o.Found[0].Revision = "client-0-1-0", o.Found[0].Created
		}},
		{"a read does not find what is there", "S4", func(t *testing.T, h *history.History) {
			// It has been there for a while.
			o := &h.Operations[mustFind(t, h, func(o *history.Operation) bool {
				return o.Action == history.Get && !o.Stale && len(o.Found) == 1 && o.Revision > o.Found[0].Revision+30
			})]
			o.Found, o.Revision, o.Outcome, o.Code = nil, 0, history.Refused, "NOT_FOUND"
		}},
		{"a list lacks an object", "S4", func(t *testing.T, h *history.History) {
			o := &h.Operations[mustFind(t, h, func(o *history.Operation) bool { return o.Action == history.List && len(o.Found) > 1 })]
			o.Found = o.Found[1:]
		}},
		{"a list shows what was deleted", "S4", func(t *testing.T, h *history.History) {
			o := &h.Operations[mustFind(t, h, func(o *history.Operation) bool { return o.Action == history.List })]
			o.Found = append(o.Found, history.Object{Name: "object-x", Value: "v", Revision: o.Revision})
		}},
		{"a stale read is older than it says", "S4", func(t *testing.T, h *history.History) {
			o := &h.Operations[mustFind(t, h, func(o *history.Operation) bool { return o.Stale && o.Revision > 200 })]
			late := history.Micros(10_000_000)
			for i := range h.Operations {
				if each := &h.Operations[i]; each.Call > o.Call {
					each.Call, each.Return = each.Call+late, each.Return+late
				}
			}
			o.Call, o.Return = o.Call+late, o.Return+late
			a := newAccount(h)
			o.Revision -= 100
			o.Found = nil
			if v, there := a.at(o.Objects[0], o.Revision); there {
				o.Found = []history.Object{{Name: o.Objects[0], Value: v.value, Revision: v.revision, Created: v.created}}
			}
		}},
		{"a write has a revision that was there before", "S4", func(t *testing.T, h *history.History) {
			i := mustFind(t, h, acknowledged)
			o := &h.Operations[i]
			was := o.Revision
			everywhere(h, func(r *history.Replica) {
				r.Entries = slices.Clone(r.Entries)
				n, early := at(r, was), at(r, r.Entries[at(r, was)-20].Index)
				r.Entries[early].Requests = append(slices.Clone(r.Entries[early].Requests), o.Request)
				r.Entries[early].Put = append(slices.Clone(r.Entries[early].Put), history.Object{Name: "extra", Value: "v"})
				o.Revision = r.Entries[early].Index
				r.Entries = slices.Delete(r.Entries, n, n+1)
			})
		}},
		{"a client sees the state go back", "S5", func(t *testing.T, h *history.History) {
			o := &h.Operations[mustFind(t, h, func(o *history.Operation) bool {
				return o.Action == history.Get && !o.Stale && o.Revision > 100
			})]
			o.Revision -= 90
		}},
		{"a stale reader sees the state go back at one server", "S5", func(t *testing.T, h *history.History) {
			o := &h.Operations[mustFind(t, h, func(o *history.Operation) bool { return o.Stale && o.Revision > 300 })]
			o.Revision -= 250
		}},
		{"a write replaces what it did not expect", "S6", func(t *testing.T, h *history.History) {
			h.Operations[mustFind(t, h, func(o *history.Operation) bool { return acknowledged(o) && o.Expected > 0 })].Expected--
		}},
		{"a write creates what is there", "S6", func(t *testing.T, h *history.History) {
			h.Operations[mustFind(t, h, func(o *history.Operation) bool {
				return acknowledged(o) && o.Changes[0] == "updated"
			})].MustNotExist = true
		}},
		{"a write comes after a change that it had ruled out", "S6", func(t *testing.T, h *history.History) {
			o := &h.Operations[mustFind(t, h, acknowledged)]
			o.ExpectedState = o.Revision - 10
		}},
		{"a write deletes what is not there", "S6", func(t *testing.T, h *history.History) {
			h.Operations[mustFind(t, h, func(o *history.Operation) bool {
				return o.Action == history.Delete && o.Outcome == history.Done && o.Changes[0] == "missing"
			})].IgnoreMissing = false
		}},
		{"a write is refused for nothing", "S6", func(t *testing.T, h *history.History) {
			a := newAccount(h)
			i := mustFind(t, h, func(o *history.Operation) bool {
				return o.Action == history.Get && len(o.Found) == 1 && !a.changesWithin(o.Objects[0], o.Revision-20, o.Revision+20)
			})
			o := h.Operations[i]
			o.Action, o.Outcome, o.Code, o.Request, o.Values = history.Apply, history.Refused, "CONFLICT", "refused", []string{"never"}
			o.Expected, o.Found, o.Revision = o.Found[0].Revision, nil, 0
			h.Operations[i] = o
		}},
		{"a watch misses a message", "S7", func(_ *testing.T, h *history.History) {
			i := len(h.Sights) / 2
			for h.Sights[i].SnapshotBegin || len(h.Sights[i].Put) == 0 {
				i++
			}
			h.Sights = slices.Delete(h.Sights, i, i+1)
		}},
		{"a watch misses the last message", "S7", func(_ *testing.T, h *history.History) {
			h.Sights = h.Sights[:len(h.Sights)-1]
		}},
		{"a watch shows a message twice", "S7", func(_ *testing.T, h *history.History) {
			i := len(h.Sights) / 2
			for h.Sights[i].SnapshotBegin || len(h.Sights[i].Put) == 0 {
				i++
			}
			h.Sights = slices.Insert(h.Sights, i+1, h.Sights[i])
		}},
		{"a watch shows two messages in the wrong order", "S7", func(_ *testing.T, h *history.History) {
			var of []int
			for i, s := range h.Sights {
				if s.Watcher == "watcher-1" && !s.SnapshotBegin {
					of = append(of, i)
				}
			}
			x, y := &h.Sights[of[20]], &h.Sights[of[21]]
			x.N, y.N = y.N, x.N
		}},
		{"a watch does not show that an object was deleted", "S7", func(_ *testing.T, h *history.History) {
			i := slices.IndexFunc(h.Sights, func(s history.Sight) bool { return len(s.Deleted) > 0 })
			h.Sights[i].Deleted = nil
		}},
		{"a resumed watch shows again what it had shown", "S7", func(_ *testing.T, h *history.History) {
			for i, s := range h.Sights {
				if s.Resumed > 0 {
					continue
				}
				for j := i + 1; j < len(h.Sights); j++ {
					if next := &h.Sights[j]; next.Watcher == s.Watcher && next.Resumed > 0 && len(s.Put) > 0 && !s.SnapshotBegin {
						next.Put = append(slices.Clone(next.Put), s.Put...)
						return
					}
				}
			}
		}},
		{"a resumed watch is sent an older snapshot", "S7", func(_ *testing.T, h *history.History) {
			i := slices.IndexFunc(h.Sights, func(s history.Sight) bool { return s.Resumed > 100 })
			old := h.Sights[i]
			old.Revision, old.SnapshotBegin, old.SnapshotEnd = 3, true, true
			old.Put, old.Deleted = nil, nil
			h.Sights = slices.Insert(h.Sights, i, old)
		}},
		{"a snapshot lacks an object", "S7", func(_ *testing.T, h *history.History) {
			for i := range h.Sights {
				if s := &h.Sights[i]; s.SnapshotBegin && len(s.Put) > 0 {
					s.Put = s.Put[1:]
					return
				}
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := honest(7, 2000, 10, 12)
			tc.spoil(t, h)
			v := Judge(h)
			if v.Violations[tc.by] == 0 {
				t.Errorf("%s has found nothing; violations %v", tc.by, v.Violations)
			}
			if v.Held() {
				t.Error("it held")
			}
			for _, violation := range v.Results[tc.by].Violations {
				if violation.What == "" || violation.Invariant != tc.by {
					t.Errorf("violation %+v", violation)
				}
			}
			if found := v.Results[tc.by].Violations; len(found) > 0 && testing.Verbose() {
				t.Logf("%s\n%v", found[0].What, found[0].Evidence)
			}
		})
	}
}

// TestAHistoryThatIsNotWholeNeverHolds is about everything that a judgement must
// not pass over.
func TestAHistoryThatIsNotWholeNeverHolds(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(h *history.History)
	}{
		{"it was cut off", func(h *history.History) { h.Cut = []string{"sights.jsonl"} }},
		{"it was never closed", func(h *history.History) { h.Meta.Whole = false }},
		{"the trial failed", func(h *history.History) { h.Meta.Error = "a fault could not be healed" }},
		{"nothing was done", func(h *history.History) { *h = history.History{Meta: h.Meta} }},
		{"nothing was answered", func(h *history.History) {
			for i := range h.Operations {
				h.Operations[i] = history.Operation{Action: history.Get, Outcome: history.Unknown}
			}
			h.Sights, h.Replicas = nil, nil
		}},
		{"no replica was read", func(h *history.History) { h.Replicas = nil }},
		{"nobody knows who led", func(h *history.History) { h.Leaderships = nil }},
		{"the beats that were promised are missing", func(h *history.History) { h.Meta.Promised = []string{history.KindBeats} }},
		{"the logs begin late", func(h *history.History) {
			everywhere(h, func(r *history.Replica) { r.Entries = r.Entries[100:]; r.First = r.Entries[0].Index })
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := honest(7, 1000, 10, 12)
			tc.spoil(h)
			v := Judge(h)
			if v.Held() || len(v.Unjudged) == 0 {
				t.Errorf("it held: %+v", v)
			}
			if len(v.Violations) > 0 {
				t.Errorf("violations %v", v.Violations)
			}
		})
	}
}

// TestReplicasThatAreFarBehindTakeNothingAway is about the end of a trial that
// failed: one server has nothing yet, one ends with what was never committed, and
// what the third one has was acknowledged.
func TestReplicasThatAreFarBehindTakeNothingAway(t *testing.T) {
	h := honest(7, 1000, 10, 12)
	h.Meta.Quiet, h.Meta.Error = 0, "servers are not level"
	h.Replicas[0] = history.Replica{Server: "server-1"}
	r := &h.Replicas[1]
	r.Entries = slices.Clone(r.Entries[:100])
	r.Last = r.Entries[99].Index + 1
	r.Entries = append(r.Entries, history.Entry{Index: r.Last, Term: 2, Sum: "x", Requests: []string{"y"}})
	r.Revision, r.Hash, r.Objects, r.Hashes, r.Snapshots = 0, "", nil, nil, nil
	// Nobody has asked for the third log's entries to be taken back.
	next := &h.Replicas[2].Entries[100]
	if next.Index == r.Last {
		r.Entries, r.Last = r.Entries[:100], r.Last-1
	}
	v := Judge(h)
	for name, r := range v.Results {
		for _, violation := range r.Violations[:min(2, len(r.Violations))] {
			t.Errorf("%s: %s\n%v", name, violation.What, violation.Evidence)
		}
	}
	if v.Held() {
		t.Error("it held")
	}
}

// TestOneCheckerAloneFindsTheSame is what makes checkers usable one by one.
func TestOneCheckerAloneFindsTheSame(t *testing.T) {
	h := honest(3, 500, 5, 12)
	h.Replicas[2].Objects = h.Replicas[2].Objects[1:]
	v := Judge(h)
	for _, c := range All() {
		if r := c.Check(h); r.Found != v.Results[c.Invariant].Found || r.Checked != v.Results[c.Invariant].Checked {
			t.Errorf("%s: alone %d of %d, among all %d of %d", c.Invariant, r.Found, r.Checked, v.Results[c.Invariant].Found, v.Results[c.Invariant].Checked)
		}
	}
}

// TestReplicasThatDifferAreFound is about what is found when everything is over.
func TestReplicasThatDifferAreFound(t *testing.T) {
	for _, tc := range []struct {
		name  string
		by    string
		spoil func(h *history.History)
	}{
		{"one log has another entry", "S8", func(h *history.History) {
			h.Replicas[1].Entries[50].Sum = "other"
		}},
		{"one log lacks an entry", "S8", func(h *history.History) {
			h.Replicas[1].Entries = slices.Delete(h.Replicas[1].Entries, 50, 51)
		}},
		{"a log goes back to an older term", "S8", func(h *history.History) {
			everywhere(h, func(r *history.Replica) { r.Entries[50].Term = 1; r.Entries[49].Term = 2 })
		}},
		{"one log ends with what was never committed", "", func(h *history.History) {
			r := &h.Replicas[1]
			r.Last++
			r.Entries = append(r.Entries, history.Entry{Index: r.Last, Term: 9, Sum: "x", Put: []history.Object{{Name: "object-1", Value: "v"}}})
		}},
		{"one log begins after a snapshot", "", func(h *history.History) {
			r := &h.Replicas[1]
			r.Entries = r.Entries[50:]
			r.First, r.Hashes = r.Entries[0].Index, nil
		}},
		{"a log has an entry that no other has", "S8", func(h *history.History) {
			r := &h.Replicas[1]
			for i := range r.Entries {
				if r.Entries[i+1].Index > r.Entries[i].Index+1 {
					e := history.Entry{Index: r.Entries[i].Index + 1, Term: 2, Sum: "x"}
					r.Entries = slices.Insert(r.Entries, i+1, e)
					return
				}
			}
		}},
		{"one state is different", "S9", func(h *history.History) { h.Replicas[1].Hash = "other" }},
		{"a log leads to another state", "S9", func(h *history.History) { h.Replicas[1].Hashes[0].Hash = "other" }},
		{"a server says that it has another state", "S9", func(h *history.History) {
			h.Standings = append(h.Standings, history.Standing{Server: "server-2", Index: h.Replicas[0].Hashes[0].Index, Hash: "other"})
		}},
		{"a server says what its state is", "", func(h *history.History) {
			h.Standings = append(h.Standings, history.Standing{Server: "server-2", Index: h.Replicas[0].Hashes[0].Index, Hash: "half"})
		}},
		{"one replica is behind", "S9", func(h *history.History) {
			r := &h.Replicas[1]
			r.Revision, r.Hash, r.Objects = 1, "early", nil
			r.Hashes = r.Hashes[:1]
		}},
		{"one replica cannot be read", "S9", func(h *history.History) {
			h.Replicas[1] = history.Replica{Server: "server-2", Error: "data is damaged"}
		}},
		{"a snapshot has another hash than it says", "S10", func(h *history.History) { h.Replicas[1].Snapshots[0].Had = "other" }},
		{"a snapshot is not what the log leads to", "S10", func(h *history.History) {
			h.Replicas[1].Snapshots[0].Had, h.Replicas[1].Snapshots[0].Said = "other", "other"
		}},
		{"a value is served that nobody has written", "S11", func(h *history.History) {
			i := slices.IndexFunc(h.Operations, func(o history.Operation) bool { return len(o.Found) > 0 })
			h.Operations[i].Found[0].Value += "x"
		}},
		{"data is damaged that nobody has damaged", "S11", func(h *history.History) { h.Replicas[1].Damaged = []string{"log entry 7"} }},
		{"data is damaged where nobody looks any more", "", func(h *history.History) {
			strike(h, "flip-bits", 10, 20, true, 0, "server-2")
			h.Replicas[1].Damaged = []string{"log entry 7"}
		}},
		{"a server goes on with damaged data", "S11", func(h *history.History) {
			strike(h, "flip-bits", 10, 20, true, 0, "server-2")
			h.Replicas[1].Damaged, h.Replicas[1].Revision = []string{"log entry 700"}, 0
		}},
		{"versions together differ", "S12", func(h *history.History) {
			h.Meta.Versions = []string{"1", "2"}
			h.Replicas[1].Hash = "other"
		}},
		{"what one does not know is used", "S12", func(h *history.History) {
			h.Meta.Versions = []string{"1", "2"}
			h.Levels = []history.Level{{Server: "server-1", Knows: 2}, {Server: "server-2", Knows: 1}, {Server: "server-1", At: 5, Raised: 2}, {Server: "server-2", At: 6, Knows: 2}}
		}},
		{"what all know is used", "", func(h *history.History) {
			h.Meta.Versions = []string{"1", "2"}
			h.Levels = []history.Level{{Server: "server-1", Knows: 1}, {Server: "server-1", At: 1, Raised: 1}, {Server: "server-1", At: 4, Knows: 2}, {Server: "server-1", At: 5, Raised: 2}}
		}},
		{"versions together agree", "", func(h *history.History) { h.Meta.Versions = []string{"1", "2"} }},
		{"no order explains what was read", "P1", func(h *history.History) {
			// It reads what was there before; by no revision could it be told.
			for i := range h.Operations {
				if o := &h.Operations[len(h.Operations)-1-i]; o.Action == history.Get && !o.Stale && len(o.Found) > 0 && o.Found[0].Created < o.Found[0].Revision {
					o.Found[0].Revision--
					return
				}
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := honest(7, 1000, 10, 12)
			everywhere(h, func(r *history.Replica) { r.Entries = slices.Clone(r.Entries) })
			tc.spoil(h)
			v := Judge(h)
			if tc.by == "" && !v.Held() || tc.by != "" && (v.Violations[tc.by] == 0 || v.Held()) {
				t.Errorf("violations %v, unjudged %v", v.Violations, v.Unjudged)
			}
		})
	}
}
