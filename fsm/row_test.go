package fsm_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestRowsDecodeWithTheirRevisions(t *testing.T) {
	m := mustNew(t)
	w := &argosyv1.Workload{Name: "web", Agent: "agent-a", Tags: map[string]string{"k": "v"}}
	a := &argosyv1.Agent{Name: "agent-a"}
	c := &argosyv1.ClusterSettings{ClusterId: "id"}
	if _, ok := m.View().Cluster(); ok {
		t.Error("an empty state has settings")
	}
	e := entryOf(
		put(workload, "web", "agent-a", string(mustEncode(t, w))),
		put(agent, "agent-a", "", string(mustEncode(t, a))),
		put(cluster, fsm.ClusterKey, "", string(mustEncode(t, c))))
	mustApply(t, m, 3, e)
	mustApply(t, m, 5, e)
	w.CreatedRevision, w.Revision = 3, 5
	a.CreatedRevision, a.Revision = 3, 5
	c.CreatedRevision, c.Revision = 3, 5

	row, _ := m.View().Workload("web")
	if got, err := row.Workload(); err != nil || !proto.Equal(got, w) {
		t.Errorf("workload is %v, %v", got, err)
	}
	if _, err := row.Agent(); err == nil {
		t.Error("a workload decoded as an agent")
	}
	row, _ = m.View().Agent("agent-a")
	if got, err := row.Agent(); err != nil || !proto.Equal(got, a) {
		t.Errorf("agent is %v, %v", got, err)
	}
	if got, ok := m.View().Cluster(); !ok || !proto.Equal(got, c) {
		t.Errorf("settings are %v, %v", got, ok)
	}

	mustApply(t, m, 6, entryOf(put(workload, "web", "", "\xff"), put(cluster, fsm.ClusterKey, "", "\xff")))
	row, _ = m.View().Workload("web")
	if got, err := row.Workload(); err == nil {
		t.Errorf("damaged workload is %v", got)
	}
	if got, ok := m.View().Cluster(); !ok || got.GetRevision() != 6 {
		t.Errorf("damaged settings are %v, %v: a cluster that has settings is not new", got, ok)
	}
}

// A row must not keep the buffer of the log alive, nor change with it.
func TestMachineDoesNotKeepTheEntry(t *testing.T) {
	m := mustNew(t)
	data := mustEncode(t, seedEntry())
	if err := apply(m, 1, data); err != nil {
		t.Fatal(err)
	}
	before := dump(m.View())
	for i := range data {
		data[i] = 0xaa
	}
	if after := dump(m.View()); after != before {
		t.Fatalf("state is\n%s\nwas\n%s", after, before)
	}
	mustBeWhole(t, m.View())
}

func TestConfigurationIsChecked(t *testing.T) {
	if _, err := fsm.New(fsm.Config{}); err == nil {
		t.Error("made a machine without a feed")
	}
}
