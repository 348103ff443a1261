package sessions

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// depending writes a workload "name@agent" that depends on others, each "name"
// or "name finished".
func (w *world) depending(text string, on ...string) {
	w.t.Helper()
	name, agent, _ := strings.Cut(text, "@")
	one := &argosyv1.Workload{Name: name, Agent: agent, Runtime: "process", Dependencies: map[string]argosyv1.DependencyCondition{}}
	for _, text := range on {
		other, condition, _ := strings.Cut(text, " ")
		one.Dependencies[other] = argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING
		if condition == "finished" {
			one.Dependencies[other] = argosyv1.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED
		}
	}
	w.apply(put(argosyv1.RowKind_ROW_KIND_WORKLOAD, name, agent, one))
	w.settle()
}

func neighboursSent(a *agent) (count int) {
	for _, m := range a.messages() {
		if m.GetNeighbours() != nil {
			count++
		}
	}
	return count
}

func TestAnAgentIsToldOfWhatItsWorkloadsDependOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := two(w)
		w.want("db@b", "job@b", "other@b")
		w.depending("web@a", "db", "job finished", "nobody")
		a.holds("after creating", "web")
		a.knows("before they run", map[string]string{"db": "", "job": "", "nobody": ""})
		b.dependsOn("of them", map[string]string{"db": "web"})
		b.knows("of web", map[string]string{"db": "", "web": ""})

		b.runs("db", "job", "other")
		a.knows("when they run", map[string]string{"db": "b Running(Ok)", "job": "b Running(Ok)", "nobody": ""})
		b.report(false, finished, "job")
		a.knows("when the job has finished", map[string]string{"db": "b Running(Ok)", "job": "b Succeeded(Ok)", "nobody": ""})
		sent := neighboursSent(a)
		b.report(false, stopping, "other")
		if got := neighboursSent(a); got != sent {
			t.Errorf("it was sent %d messages about what does not concern it", got-sent)
		}
		w.depending("web@a", "job finished")
		a.knows("when it depends on less", map[string]string{"job": "b Succeeded(Ok)"})
		b.dependsOn("when it depends on less", map[string]string{})
		w.delete("web")
		a.knows("when it is deleted", map[string]string{})
	})
}

func TestAnAgentIsNotToldOfItsOwnInstances(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := two(w)
		w.want("db@a")
		w.depending("web@a", "db")
		a.runs("db", "web")
		a.knows("of its own", map[string]string{"db": "", "web": ""})
		a.dependsOn("of its own", map[string]string{"db": "web"})
		if got := neighboursSent(b); got > 1 {
			t.Errorf("the other agent was sent %d accounts", got)
		}
	})
}

// What it depends on may be deleted right after it, and must not stop before it
// has.
func TestADeletedWorkloadCountsAsDependentUntilItIsGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := two(w)
		w.want("db@b")
		w.depending("web@a", "db")
		b.runs("db")
		a.runs("web")
		b.dependsOn("of both", map[string]string{"db": "web"})
		b.knows("of both", map[string]string{"db": "", "web": "a Running(Ok)"})

		w.delete("web")
		b.dependsOn("when it is to be removed", map[string]string{"db": "web"})
		w.delete("db")
		a.report(false, stopping, "web")
		b.knows("when it is being removed", map[string]string{"db": "", "web": "a Stopping(RequestedAtRuntime)"})
		a.report(false, removed, "web")
		b.knows("when it is gone", map[string]string{})
		b.report(false, removed, "db")
		b.knows("when both are gone", map[string]string{})
	})
}

// A workload of the same name that comes next counts by what it needs itself.
func TestADeletedWorkloadCountsNoLongerWhenAnotherOfItsNameIsThere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := two(w)
		w.want("db@b")
		w.depending("web@a", "db")
		b.runs("db")
		a.runs("web")
		w.delete("web")
		w.want("web@a=2")
		a.report(false, stopping, "web")
		a.report(false, runningOK, "web=2")
		b.dependsOn("while the former is there", map[string]string{"db": "web"})
		a.report(false, removed, "web")
		b.dependsOn("when the former is gone", map[string]string{})
	})
}

// It forgets who depends on a workload when it is to remove that.
func TestAnAgentThatGetsAWorkloadBackIsToldAgainWhoDependsOnIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := two(w)
		w.want("db@b")
		w.depending("web@a", "db")
		b.runs("db")
		a.runs("web")
		w.delete("db")
		b.report(false, stopping, "db")
		b.dependsOn("when it is to be removed", map[string]string{})
		w.want("db@b")
		b.dependsOn("when it is there again", map[string]string{"db": "web"})
		b.report(false, removed, "db")
		b.runs("db")
		b.dependsOn("when it runs again", map[string]string{"db": "web"})
	})
}

func TestAnAgentThatComesBackIsToldEverythingAgain(t *testing.T) {
	for what, away := range map[string]func(*world){
		"after a break":     func(*world) {},
		"after a fail-over": (*world).failOver,
		"after a restart":   (*world).startAgain,
	} {
		t.Run(what, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := two(w)
				w.want("db@b")
				w.depending("web@a", "db")
				w.depending("late@a", "db")
				b.runs("db")
				a.runs("web", "late")
				a.lose()
				w.delete("late")
				away(w)
				b.connect()
				b.runs("db")
				// Of what it knew, it must not be left with what is so no more.
				a.neighbours["gone"], a.dependents["web"] = "b Running(Ok)", "gone"
				a.awaited = []string{"asked"}
				a.connect()
				a.knows("when it is back", map[string]string{"db": "b Running(Ok)", "asked": ""})
				a.dependsOn("when it is back", map[string]string{})
				a.runs("web")
				b.dependsOn("when it is back", map[string]string{"db": "web"})
			})
		})
	}
}

func TestAnAgentThatDoesNotKnowOfNeighboursIsToldNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lead(1)
		a := w.agent("a")
		a.open(func(hello *argosyv1.AgentHello) { hello.Abilities = 0 })
		w.settle()
		w.want("db@a")
		w.depending("web@a", "db")
		a.holds("what it would run out of order is held back", "db")
		if got := neighboursSent(a); got != 0 {
			t.Errorf("it was sent %d messages", got)
		}
		a.runs("db")
		a.lose()
		a.connect()
		a.holds("when it was upgraded", "db", "web")
	})
}

// Large accounts come in messages of a bounded size, and count as one.
func TestALargeAccountComesInParts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const n = 20_000
		w.lead(1)
		var mutations []*argosyv1.Mutation
		want := map[string]string{}
		one := &argosyv1.Workload{Name: "web", Agent: "a", Runtime: "process", Dependencies: map[string]argosyv1.DependencyCondition{}}
		for i := range n {
			name := fmt.Sprintf("w%059d", i)
			one.Dependencies[name] = argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING
			want[name] = ""
		}
		mutations = append(mutations, put(argosyv1.RowKind_ROW_KIND_WORKLOAD, "web", "a", one))
		w.apply(mutations...)
		w.settle()
		a := w.agent("a")
		a.neighbours["gone"] = ""
		a.connect()
		a.knows("when it has come", want)
		parts := 0
		for _, m := range a.messages() {
			if account := m.GetNeighbours(); account.GetFull() {
				parts++
			}
		}
		if parts < 2 {
			t.Errorf("the account came in %d parts", parts)
		}
	})
}

// A change of one that depends on what everybody depends on costs no more the more
// of them there are.
func TestAChangeOfOneOfManyDependentsCostsWhatItChanges(t *testing.T) {
	cost := func(dependents int) (bytes uint64) {
		inWorld(t, func(t *testing.T, w *world) {
			w.lead(1)
			one := &argosyv1.Workload{Agent: "b", Runtime: "process", Dependencies: map[string]argosyv1.DependencyCondition{"hub": argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING}}
			mutations := []*argosyv1.Mutation{workload("hub@a")}
			for i := range dependents {
				one.Name = fmt.Sprint("w", i)
				mutations = append(mutations, put(argosyv1.RowKind_ROW_KIND_WORKLOAD, one.Name, one.Agent, one))
			}
			w.apply(mutations...)
			w.settle()
			a := w.agent("a")
			a.connect()
			a.runs("hub")
			told := neighboursSent(a)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for i := range 10 {
				one.Name, one.RuntimeConfig = "w1", fmt.Sprint("another ", i)
				w.apply(put(argosyv1.RowKind_ROW_KIND_WORKLOAD, one.Name, one.Agent, one))
				w.settle()
			}
			runtime.ReadMemStats(&after)
			bytes = after.TotalAlloc - before.TotalAlloc
			if n := neighboursSent(a) - told; n != 10 {
				t.Errorf("%d of 10 changes were told", n)
			}
		})
		return bytes
	}
	if few, many := cost(100), cost(2000); many > 3*few {
		t.Errorf("with 100 dependents it costs %d bytes, with 2000 %d", few, many)
	}
}

// Whatever happens in which order, an agent knows in the end what a look at the
// whole state says that it must know.
func TestWhatAgentsKnowIsWhatTheStateSays(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) { randomNeighbours(t, w, seed) })
		})
	}
}

func randomNeighbours(t *testing.T, w *world, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	w.lead(1)
	agents := map[string]*agent{"a": w.agent("a"), "b": w.agent("b")}
	for _, a := range agents {
		a.connect()
		a.runs()
	}
	all := []string{"u", "v", "x", "y", "z"}
	for range 60 {
		name := all[random.IntN(len(all))]
		on := string("ab"[random.IntN(2)])
		switch random.IntN(6) {
		case 0, 1, 2:
			var needs []string
			for _, other := range all {
				if other > name && random.IntN(2) == 0 {
					needs = append(needs, other)
				}
			}
			w.depending(name+"@"+on, needs...)
		case 3:
			if _, exists := w.machine.View().Workload(name); exists {
				w.delete(name)
			}
		case 4:
			agents[on].carryOut()
		case 5:
			agents[on].lose()
			if random.IntN(2) == 0 {
				w.failOver()
				other := agents[string("ab"[1-(int(on[0])-'a')])]
				other.connect()
				other.carryOut()
			}
			agents[on].connect()
			agents[on].carryOut()
		}
	}
	for range 3 { // what waits for one to remove it comes after that
		for _, name := range slices.Sorted(maps.Keys(agents)) {
			agents[name].carryOut()
		}
	}
	for name, a := range agents {
		states, dependents := map[string]string{}, map[string]string{}
		for row := range w.machine.View().Workloads() {
			one, err := row.Workload()
			if err != nil {
				t.Fatal(err)
			}
			for other := range one.GetDependencies() {
				target, exists := w.machine.View().Workload(other)
				if row.Group == name {
					states[other] = ""
					if exists && target.Group != name {
						states[other] = target.Group + " Running(Ok)"
					}
				}
				if exists && target.Group == name {
					dependents[other] = strings.TrimPrefix(dependents[other]+", "+row.Key, ", ")
					states[other], states[row.Key] = "", ""
					if row.Group != name {
						states[row.Key] = row.Group + " Running(Ok)"
					}
				}
			}
		}
		a.knows("in the end", states)
		a.dependsOn("in the end", dependents)
	}
}

// carryOut reports that all that the agent holds runs, and that it is done.
func (a *agent) carryOut() {
	a.t.Helper()
	a.mu.Lock()
	names, revision := slices.Sorted(maps.Keys(a.held)), a.revision
	a.mu.Unlock()
	a.runs(names...)
	a.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Converged{Converged: &argosyv1.Converged{Revision: revision}}})
}
