package reconcile

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/argosy-cluster/argosy/agent/assignments"
	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/runtimetest/fake"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// stage is a manager with runtimes in memory, in a bubble of fake time.
type stage struct {
	t        *testing.T
	m        *Manager
	pods     *fake.Runtime
	recorded map[string]bool
	leaving  map[string]assignments.Leaving
	others   *others
	change   func(*Config)
	stop     func()
}

// play runs a scenario.
func play(t *testing.T, scenario func(s *stage)) {
	t.Helper()
	playWith(t, func(*Config) {}, []*fake.Runtime{fake.New("pods")}, scenario)
}

func playWith(t *testing.T, change func(*Config), runtimes []*fake.Runtime, scenario func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{
			t: t, pods: runtimes[0], recorded: make(map[string]bool), leaving: make(map[string]assignments.Leaving),
			others: &others{states: map[string]*argosyv1.ExecutionState{}, wanted: map[string]string{}, dependents: map[string][]string{}},
		}
		s.change = func(c *Config) { c.Neighbours = s.others; change(c) }
		s.m = mustManager(t, s.change, runtimes, s)
		s.run()
		defer func() { s.stop() }()
		scenario(s)
	})
}

func mustManager(t *testing.T, change func(*Config), runtimes []*fake.Runtime, recorder Recorder) *Manager {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Agent = "node1"
	change(&cfg)
	all := make([]runtime.Runtime, 0, len(runtimes))
	for _, rt := range runtimes {
		all = append(all, rt)
	}
	m, err := New(cfg, all, recorder)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (s *stage) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.m.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("run: %v", err)
		}
		s.stop = func() {}
	}
	synctest.Wait()
}

// Started implements Recorder.
func (s *stage) Started(w *argosyv1.Workload) { s.recorded[w.GetName()] = true }

// Leaving and Left implement Recorder.
func (s *stage) Leaving(l assignments.Leaving) { s.leaving[l.Instance.Key()] = l }
func (s *stage) Left(l assignments.Leaving)    { delete(s.leaving, l.Instance.Key()) }

// reborn kills the agent and starts it again with the same runtime.
func (s *stage) reborn(remembered assignments.Change, change ...func(*Config)) {
	s.stop()
	s.m = mustManager(s.t, func(c *Config) {
		s.change(c)
		for _, one := range change {
			one(c)
		}
	}, []*fake.Runtime{s.pods}, s)
	s.m.Apply(remembered)
	s.run()
}

func workload(name string, change ...func(*argosyv1.Workload)) *argosyv1.Workload {
	w := &argosyv1.Workload{Name: name, Agent: "node1", Runtime: "pods", RuntimeConfig: "image: " + name, CreatedRevision: 5, Revision: 5}
	for _, c := range change {
		c(w)
	}
	return w
}

func policy(p argosyv1.RestartPolicy) func(*argosyv1.Workload) {
	return func(w *argosyv1.Workload) { w.RestartPolicy = p }
}

func config(text string) func(*argosyv1.Workload) {
	return func(w *argosyv1.Workload) { w.RuntimeConfig = text }
}

func on(runtimeName string) func(*argosyv1.Workload) {
	return func(w *argosyv1.Workload) { w.Runtime = runtimeName }
}

func full(revision uint64, workloads ...*argosyv1.Workload) assignments.Change {
	return assignments.Change{Full: true, Vouched: true, Revision: revision, Upserts: workloads}
}

func diff(revision uint64, upserts []*argosyv1.Workload, removals ...string) assignments.Change {
	return assignments.Change{Vouched: true, Revision: revision, Upserts: upserts, Removals: removals}
}

func (s *stage) apply(c assignments.Change) {
	s.m.Apply(c)
	synctest.Wait()
}

// mustTell checks the changes of state that were told since the last call.
func (s *stage) mustTell(want ...string) {
	s.t.Helper()
	s.compare(s.told(), want)
}

// mustTellOfEach is mustTell for what happens to several workloads at the same
// time: the order of what is told of one counts, that of the workloads does not.
func (s *stage) mustTellOfEach(want ...string) {
	s.t.Helper()
	byWorkload := func(a, b string) int {
		nameA, _, _ := strings.Cut(a, ":")
		nameB, _, _ := strings.Cut(b, ":")
		return strings.Compare(nameA, nameB)
	}
	got := s.told()
	slices.SortStableFunc(got, byWorkload)
	slices.SortStableFunc(want, byWorkload)
	s.compare(got, want)
}

// told returns what was told of states since the last call.
func (s *stage) told() []string {
	s.t.Helper()
	synctest.Wait()
	states, whole := s.m.Journal().Take()
	var got []string
	for _, state := range states {
		line := state.GetInstance().GetWorkload() + ": " + state.GetExecution().Text()
		if info := state.GetExecution().GetAdditionalInfo(); info != "" {
			line += " " + info
		}
		got = append(got, line)
	}
	if whole {
		s.t.Fatal("the journal overflowed")
	}
	return got
}

func (s *stage) compare(got, want []string) {
	s.t.Helper()
	if !slices.Equal(got, want) {
		s.t.Fatalf("told:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// mustCall checks how often the runtime was asked to start and remove.
func (s *stage) mustCall(starts, removes int) {
	s.t.Helper()
	synctest.Wait()
	if c := s.pods.Calls(); c.Starts != starts || c.Removes != removes {
		s.t.Fatalf("runtime was asked for %d starts and %d removals, want %d and %d", c.Starts, c.Removes, starts, removes)
	}
}

func (s *stage) mustConverge(revision uint64) {
	s.t.Helper()
	synctest.Wait()
	if got := s.m.Journal().Converged(); got != revision {
		s.t.Fatalf("converged up to %d, want %d", got, revision)
	}
}

func (s *stage) mustState(name, want string) *argosyv1.ExecutionState {
	s.t.Helper()
	synctest.Wait()
	for _, state := range s.m.Journal().Full() {
		if state.GetInstance().GetWorkload() == name {
			if got := text(state.GetExecution()); strings.TrimSpace(got) != want {
				s.t.Fatalf("state of %s: %q, want %q", name, got, want)
			}
			return state.GetExecution()
		}
	}
	s.t.Fatalf("no state of %s, want %q", name, want)
	return nil
}

const triggered = "Pending(Starting) Triggered at runtime."
