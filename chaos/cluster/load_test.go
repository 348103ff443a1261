package cluster_test

import (
	"testing"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/load"
)

// loaded is a load that fails the test when something is wrong.
type loaded struct{ *load.Load }

func startLoad(t *testing.T, c *cluster.Cluster, writers int) *loaded {
	t.Helper()
	l, err := load.Start(t.Context(), c, writers, patience)
	must(t, err)
	t.Cleanup(l.Stop)
	return &loaded{l}
}

// mustGoOn waits until many more writes were acknowledged.
func (l *loaded) mustGoOn(t *testing.T) {
	t.Helper()
	from := l.Acknowledged()
	eventually(t, "writes to go on", func() error {
		must(t, l.Wrong())
		return when(l.Acknowledged() >= from+100, "%d writes were acknowledged", l.Acknowledged()-from)
	})
}

// mustEnd lets the writers finish and compares what they were told with what is
// there, and with what the watch saw.
func (l *loaded) mustEnd(t *testing.T) {
	t.Helper()
	must(t, l.End(t.Context()))
	t.Logf("%d writes, %d reads", l.Acknowledged(), l.Reads())
}
