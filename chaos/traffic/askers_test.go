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

func TestAskersAskTheirAgentsUntilTheyShallRest(t *testing.T) {
	recorder, err := history.Create(t.TempDir()+"/trial", history.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	c := mustCluster(t, cluster.Config{Agents: 2, TLS: true})
	tr, _ := mustStart(t, c, plan.Load{Readers: 1, Listers: 1, Watchers: 2, Subscribers: 1, Askers: 2, PauseUs: 10000}, func(config *traffic.Config) {
		config.Recorder, config.Messages = recorder, recorder.MessagesDir()
		config.Asker = probe.Askers("", os.Args[0], recorder.BeatsDir(), recorder.MessagesDir())
	})
	size := func(least int64) {
		t.Helper()
		eventually(t, func() bool {
			return sizeOf(t, recorder.MessagesDir(), "asker-0") >= least && sizeOf(t, recorder.MessagesDir(), "asker-1") >= least
		},
			func() any { return tr.Counts() })
	}
	size(10_000)
	for _, agent := range c.Agents {
		if err := agent.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := agent.Start(); err != nil {
			t.Fatal(err)
		}
	}
	size(sizeOf(t, recorder.MessagesDir(), "asker-0") + 10_000)
	h := mustEnd(t, tr, recorder)
	checkSights(t, h)
	set := map[string]string{}
	rests, acknowledged := map[string]bool{}, 0
	for _, m := range h.Messages {
		if rests[m.Workload] && m.What != history.MessageEnd {
			t.Errorf("after its rest: %+v", m)
		}
		switch {
		case m.What == history.MessageRest:
			rests[m.Workload] = true
		case m.What == history.MessageClosed, m.What == history.MessageAnswer && m.Outcome == history.Refused:
			t.Errorf("it was told %+v", m)
		case m.Sets != "":
			if set[m.Sets] != "" {
				t.Errorf("%s is set twice", m.Sets)
			}
			set[m.Sets] = m.Object
		case m.What == history.MessageAnswer && m.Outcome == history.Done && len(m.Found) == 0 && m.Action == "":
			acknowledged++
		}
		for _, found := range m.Found {
			if set[found.Value] != found.Name {
				t.Errorf("it was told %+v, which nobody has written", found)
			}
		}
	}
	if len(rests) != 2 || acknowledged < 10 {
		t.Errorf("%d of 2 rest, %d updates were acknowledged", len(rests), acknowledged)
	}
	for _, op := range h.Operations {
		for _, found := range op.Found {
			if of := set[found.Value]; of == "" && (found.Name == "asked-1" || history.IsConfig(found.Name)) {
				t.Errorf("%s read %+v, which nobody has written", op.Client, found)
			}
		}
	}
}

// sizeOf is how much one asker has written down.
func sizeOf(t *testing.T, dir, workload string) (size int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && len(entry.Name()) > len(workload) && entry.Name()[:len(workload)] == workload {
			size += info.Size()
		}
	}
	return size
}
