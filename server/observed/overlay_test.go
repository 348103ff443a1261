package observed

import (
	"slices"
	"strings"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func workload(name, agent, config string) *argosyv1.Workload {
	return &argosyv1.Workload{Name: name, Agent: agent, RuntimeConfig: config}
}

// shorten replaces the ids of configurations "1" and "2" by these.
func shorten(lines []string) []string {
	replace := strings.NewReplacer(argosyv1.InstanceID("1"), "1", argosyv1.InstanceID("2"), "2")
	var all []string
	for _, line := range lines {
		all = append(all, replace.Replace(line))
	}
	return all
}

func TestWhatUsersSeeOfAWorkload(t *testing.T) {
	one, two := argosyv1.InstanceID("1"), argosyv1.InstanceID("2")
	cases := []struct {
		what     string
		desired  *argosyv1.Workload
		reported []string // instances that run
		want     []string
		info     string // of the instance that nobody spoke of
	}{
		{"it has no agent", workload("w", "", "1"), nil, []string{"w.1. NotScheduled"}, ""},
		{"no agent spoke of it", workload("w", "a", "1"), nil, []string{"w.1.a Pending(Initial)"}, ""},
		{"its agent spoke of it", workload("w", "a", "1"), []string{"w." + one + ".a"}, []string{"w.1.a Running(Ok)"}, ""},
		{"it is being replaced", workload("w", "a", "2"), []string{"w." + one + ".a"}, []string{"w.1.a Running(Ok)", "w.2.a Pending(Initial)"}, ""},
		{"it is being moved", workload("w", "b", "1"), []string{"w." + one + ".a"}, []string{"w.1.a Running(Ok)", "w.1.b Pending(Initial)"}, "Waits until agent a has reported its instance removed."},
		{"its agent was taken away", workload("w", "", "1"), []string{"w." + one + ".a"}, []string{"w.1. NotScheduled", "w.1.a Running(Ok)"}, ""},
		{"it is not desired any more", nil, []string{"w." + two + ".a"}, []string{"w.2.a Running(Ok)"}, ""},
		{"it never was", nil, nil, nil, ""},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			s := mustStore(t)
			l := mustLead(t, s, 1)
			connect(t, l, "a", "b")
			for _, key := range c.reported {
				mustReport(t, l, name(t, key).GetAgent(), false, state(t, key, running))
			}
			mustReport(t, l, "a", false, state(t, "another.1.a", running))
			states := s.StatesOf("w", c.desired)
			want(t, "states of the workload", shorten(texts(states)), c.want...)
			for _, st := range states {
				if e := st.GetExecution(); e.GetSubstate() == argosyv1.Substate_SUBSTATE_PENDING_INITIAL && e.GetAdditionalInfo() != c.info {
					t.Errorf("info %q, want %q", e.GetAdditionalInfo(), c.info)
				}
			}
			var desired []*argosyv1.Workload
			if c.desired != nil {
				desired = append(desired, c.desired)
			}
			all := s.States(slices.Values(desired))
			want(t, "all states", shorten(texts(all)), append([]string{"another.1.a Running(Ok)"}, c.want...)...)
		})
	}
}

func TestWhatAChangeOfDesiredStateShowsByItself(t *testing.T) {
	one := argosyv1.InstanceID("1")
	retagged := workload("w", "a", "1")
	retagged.Tags = map[string]string{"k": "v"}
	cases := []struct {
		what          string
		before, after *argosyv1.Workload
		reported      bool // the instance w.1.a
		want          []string
	}{
		{"created", nil, workload("w", "a", "1"), false, []string{"w.1.a Pending(Initial)"}},
		{"created without an agent", nil, workload("w", "", "1"), false, []string{"w.1. NotScheduled"}},
		{"created anew while the old one is there", nil, workload("w", "a", "1"), true, nil},
		{"deleted before anybody spoke of it", workload("w", "a", "1"), nil, false, []string{"w.1.a Removed"}},
		{"deleted while it runs", workload("w", "a", "1"), nil, true, nil},
		{"replaced before anybody spoke of it", workload("w", "a", "1"), workload("w", "a", "2"), false, []string{"w.1.a Removed", "w.2.a Pending(Initial)"}},
		{"replaced while it runs", workload("w", "a", "1"), workload("w", "a", "2"), true, []string{"w.2.a Pending(Initial)"}},
		{"given an agent", workload("w", "", "1"), workload("w", "a", "1"), false, []string{"w.1. Removed", "w.1.a Pending(Initial)"}},
		{"moved while it runs", workload("w", "a", "1"), workload("w", "b", "1"), true, []string{"w.1.b Pending(Initial)"}},
		{"only its tags changed", workload("w", "a", "1"), retagged, false, nil},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			s := mustStore(t)
			l := mustLead(t, s, 1)
			connect(t, l, "a", "b")
			if c.reported {
				mustReport(t, l, "a", false, state(t, "w."+one+".a", running))
			}
			want(t, "implied", shorten(texts(s.Implied(c.before, c.after))), c.want...)
		})
	}
}

func TestAnInstanceThatWasDroppedWhileDesiredWaitsForItsAgentAgain(t *testing.T) {
	one := argosyv1.InstanceID("1")
	desired := func(name string) *argosyv1.Workload {
		if name == "w" {
			return workload("w", "a", "1")
		}
		return nil
	}
	states := []*argosyv1.WorkloadState{
		state(t, "w."+one+".a", running), state(t, "w."+one+".a", gone), state(t, "w."+one+".b", gone), state(t, "x."+one+".a", gone),
	}
	want(t, "shown", shorten(texts(Shown(states, desired))), "w.1.a Running(Ok)", "w.1.a Pending(Initial)", "w.1.b Removed", "x.1.a Removed")
	want(t, "the batch, which others read", shorten(texts(states)), "w.1.a Running(Ok)", "w.1.a Removed", "w.1.b Removed", "x.1.a Removed")
}
