package traffic_test

import (
	"os"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/traffic"
	"github.com/argosy-cluster/argosy/chaos/traffic/probe"
)

func TestProbesAreMovedAndFollowed(t *testing.T) {
	recorder, err := history.Create(t.TempDir()+"/trial", history.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	c := mustCluster(t, cluster.Config{Agents: 2})
	load := plan.Load{Writers: 1, Probes: 4, Movers: 1, LogFollowers: 2, Watchers: 2, PauseUs: 10000}
	tr, _ := mustStart(t, c, load, func(config *traffic.Config) {
		config.Recorder = recorder
		config.Probe = probe.Maker(os.Args[0], recorder.BeatsDir())
	})
	eventually(t, func() bool { return tr.Counts().Lines >= 30 && movedTwice(t, tr, recorder) }, func() any { return tr.Counts() })
	h := mustEnd(t, tr, recorder)
	starts := map[string]int{}
	for _, b := range h.Beats {
		switch b.What {
		case history.BeatStart:
			starts[b.Workload+" "+b.Value]++
		case history.BeatClash:
			t.Errorf("two of one workload: %+v", b)
		}
	}
	if len(starts) < load.Probes+2 {
		t.Errorf("%d processes were started: %v", len(starts), starts)
	}
	for process, n := range starts {
		if n != 1 {
			t.Errorf("%s was started %d times", process, n)
		}
	}
	shown := 0
	for _, run := range h.LogRuns {
		if run.Nothing {
			continue
		}
		shown++
		if run.From == 0 || run.To < run.From || run.Last < run.First || run.PID == 0 || starts[run.Workload+" "+run.Value] == 0 {
			t.Errorf("follower was shown %+v", run)
		}
	}
	states := 0
	for _, sight := range h.Sights {
		states += len(sight.States)
	}
	if states == 0 || shown == 0 {
		t.Errorf("%d states were seen, %d runs of lines", states, shown)
	}
}

func TestWorkloadsRunAsTheirConfigsRenderThem(t *testing.T) {
	recorder, err := history.Create(t.TempDir()+"/trial", history.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	c := mustCluster(t, cluster.Config{Agents: 2})
	tr, _ := mustStart(t, c, plan.Load{Readers: 2, Listers: 1, Watchers: 1, Subscribers: 2, Configurers: 1, PauseUs: 10000}, func(config *traffic.Config) {
		config.Recorder = recorder
		config.Probe = probe.Maker(os.Args[0], recorder.BeatsDir())
	})
	eventually(t, func() bool { return filesIn(t, recorder.BeatsDir()) >= 6 }, func() any { return tr.Counts() })
	h := mustEnd(t, tr, recorder)
	checkValues(t, h)
	checkSights(t, h)
	renderedTo := map[string]bool{}
	for _, sight := range h.Sights {
		for _, o := range sight.Put {
			if o.Uses != "" {
				renderedTo[o.Rendered] = true
			}
		}
	}
	ran := map[string]bool{}
	for _, b := range h.Beats {
		ran[b.Value] = true
		if !renderedTo[b.Value] {
			t.Fatalf("%+v runs, which no watcher was shown; they were %v", b, renderedTo)
		}
	}
	if len(ran) < 3 {
		t.Errorf("%d texts ran: %v", len(ran), ran)
	}
	told := map[string]bool{}
	for _, e := range h.Events {
		for _, o := range e.Put {
			told[o.Value] = true
		}
	}
	for _, op := range h.Operations {
		if op.Outcome == history.Done && op.Action == history.Apply && op.Return < h.Events[len(h.Events)-1].At && h.Events[0].At < op.Call {
			for _, value := range op.Values {
				if !told[value] {
					t.Errorf("no event told of %s, which was acknowledged as %+v", value, op)
				}
			}
		}
	}
}

// movedTwice tells whether movers have changed probes after their creation.
func movedTwice(t *testing.T, tr *traffic.Traffic, recorder *history.Recorder) bool {
	t.Helper()
	// A lock for each probe, and a file for each process.
	return filesIn(t, recorder.BeatsDir()) >= 2*len(tr.Probes())+2
}

func filesIn(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
