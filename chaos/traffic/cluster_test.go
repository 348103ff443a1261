package traffic_test

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/traffic"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// patience bounds what a test waits for that fails.
const patience = 90 * time.Second

// everybody is a load with every sort of client that needs no agent.
var everybody = plan.Load{
	Writers: 3, Rivals: 3, Makers: 2, Appliers: 2, Readers: 3, StaleReaders: 3, Listers: 2, Watchers: 3, PauseUs: 2000,
}

func TestTrafficThroughTheLossOfALeader(t *testing.T) {
	c := mustCluster(t, cluster.Config{})
	tr, recorder := mustStart(t, c, everybody, nil)
	mustFlow(t, tr, 300)
	leader, err := c.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := leader.Kill(); err != nil {
		t.Fatal(err)
	}
	mustFlow(t, tr, 600)
	if err := leader.Start(); err != nil {
		t.Fatal(err)
	}
	mustFlow(t, tr, 900)
	h := mustEnd(t, tr, recorder)

	counts := tr.Counts()
	t.Logf("%+v, %d operations, %d sights", counts, len(h.Operations), len(h.Sights))
	if n := counts.Acknowledged + counts.Reads + counts.Failed; int64(len(h.Operations)) != n {
		t.Errorf("%d operations were recorded, %d counted", len(h.Operations), n)
	}
	checkSessions(t, h)
	checkValues(t, h)
	checkSights(t, h)
	checkAges(t, h)
}

// checkSessions finds sessions that are not sequences of calls.
func checkSessions(t *testing.T, h *history.History) {
	last := map[string]history.Operation{}
	for _, op := range h.Operations {
		before := last[op.Client]
		if op.N != before.N+1 || op.Call < before.Return || op.Return < op.Call || op.Call == 0 {
			t.Errorf("%s called %d from %d to %d after %d until %d", op.Client, op.N, op.Call, op.Return, before.N, before.Return)
		}
		if op.Outcome == history.Done && op.Code == "" && (op.Revision == 0 && !op.Stale || op.AnsweredBy == "") {
			t.Errorf("%+v was answered by nobody knows whom", op)
		}
		if op.Code == "INVALID" {
			t.Errorf("%s asked for what cannot be: %s", op.Client, op.Error)
		}
		last[op.Client] = op
	}
}

// checkValues finds values that two writes set.
func checkValues(t *testing.T, h *history.History) {
	of := map[string]string{}
	for _, op := range h.Operations {
		for _, value := range op.Values {
			if was := of[value]; was != "" && was != op.Request {
				t.Errorf("requests %s and %s set %s", was, op.Request, value)
			}
			of[value] = op.Request
		}
	}
	for _, op := range h.Operations {
		for _, found := range op.Found {
			if of[found.Value] == "" {
				t.Errorf("%s read %q, which nobody has set", op.Client, found.Value)
			}
		}
	}
}

// checkAges finds stale reads that are older than they say.
func checkAges(t *testing.T, h *history.History) {
	answered := slices.Clone(h.Operations)
	answered = slices.DeleteFunc(answered, func(op history.Operation) bool {
		return op.Outcome != history.Done || op.Revision == 0 || op.Stale
	})
	slices.SortFunc(answered, func(a, b history.Operation) int { return cmp.Compare(a.Return, b.Return) })
	newest := uint64(0)
	for i := range answered {
		newest = max(newest, answered[i].Revision)
		answered[i].Revision = newest
	}
	for _, op := range h.Operations {
		if !op.Stale || op.AnsweredBy == "" || op.StalenessMs == argosyv1.StalenessUnknown {
			continue
		}
		from := op.Call.Add(-time.Duration(op.StalenessMs) * time.Millisecond)
		n, _ := slices.BinarySearchFunc(answered, from, func(a history.Operation, at history.Micros) int { return cmp.Compare(a.Return, at) })
		if n > 0 && answered[n-1].Revision > op.Revision {
			t.Errorf("%s read revision %d at %s and was told that it is %d ms old at most; %d was acknowledged %v before",
				op.Client, op.Revision, op.Server, op.StalenessMs, answered[n-1].Revision, op.Call.Sub(answered[n-1].Return))
		}
	}
}

// checkSights finds watchers that do not have, in the end, what is there.
func checkSights(t *testing.T, h *history.History) {
	var final []history.Object
	for _, op := range h.Operations {
		if op.Client == "settler-0" && op.Outcome == history.Done {
			final = op.Found
		}
	}
	shown := map[string]map[string]history.Object{}
	for _, sight := range h.Sights {
		if shown[sight.Watcher] == nil || sight.SnapshotBegin {
			shown[sight.Watcher] = map[string]history.Object{}
		}
		for _, object := range sight.Put {
			shown[sight.Watcher][object.Name] = object
		}
		for _, name := range sight.Deleted {
			delete(shown[sight.Watcher], name)
		}
	}
	if len(shown) == 0 || len(final) == 0 {
		t.Errorf("%d watchers saw something, %d objects were there in the end", len(shown), len(final))
	}
	for watcher, objects := range shown {
		if len(objects) != len(final) {
			t.Errorf("%s has %d objects in the end, there are %d", watcher, len(objects), len(final))
		}
		for _, object := range final {
			if objects[object.Name] != object {
				t.Errorf("%s has %+v in the end, there is %+v", watcher, objects[object.Name], object)
			}
		}
	}
}

func mustCluster(t *testing.T, config cluster.Config) *cluster.Cluster {
	t.Helper()
	config.Dir = t.TempDir()
	config.ServerArgs = append(config.ServerArgs, "--timing-multiplier", "3")
	config.StartTimeout = patience
	config.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	c, err := cluster.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Crashes(); err != nil {
			t.Error(err)
		}
	})
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func mustStart(t *testing.T, c *cluster.Cluster, load plan.Load, change func(*traffic.Config)) (*traffic.Traffic, *history.Recorder) {
	t.Helper()
	clock, err := history.MachineClock()
	if err != nil {
		t.Fatal(err)
	}
	config := traffic.Config{
		Connect: func(endpoints ...string) (*client.Client, error) {
			return c.Client(client.Config{Endpoints: endpoints})
		},
		Load: load, Rand: rand.New(rand.NewPCG(1, 2)), Recorder: history.InMemory(history.Meta{}), Clock: clock,
	}
	for _, p := range c.Servers {
		config.Servers = append(config.Servers, traffic.Server{Name: p.Name, Endpoint: p.Endpoint()})
	}
	for _, p := range c.Agents {
		config.Agents = append(config.Agents, p.Name)
	}
	if change != nil {
		change(&config)
	}
	tr, err := traffic.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Stop)
	return tr, config.Recorder
}

// mustFlow waits until so many writes were acknowledged and reads answered.
func mustFlow(t *testing.T, tr *traffic.Traffic, least int64) {
	t.Helper()
	eventually(t, func() bool {
		c := tr.Counts()
		return c.Acknowledged >= least && c.Reads >= least && c.Sights >= least
	}, func() any { return tr.Counts() })
}

func eventually(t *testing.T, ok func() bool, state func() any) {
	t.Helper()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("waited in vain: there is %+v", state())
		}
	}
}

func mustEnd(t *testing.T, tr *traffic.Traffic, recorder *history.Recorder) *history.History {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := tr.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	tr.Stop()
	h, err := recorder.Close()
	if err != nil {
		t.Fatal(err)
	}
	if h == nil {
		if h, err = history.Read(recorder.Dir()); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.IsSortedFunc(h.Operations, func(a, b history.Operation) int { return int(a.Call - b.Call) }) {
		t.Error("operations are not in order of time")
	}
	return h
}
