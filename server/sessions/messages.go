package sessions

import (
	"log/slog"
	"maps"
	"slices"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// assignments builds the messages of one revision for one agent.
type assignments struct {
	term     uint64
	revision uint64
	full     bool
	limit    int // bytes at which a message is cut
	log      *slog.Logger

	messages []*argosyv1.Assignments
	sizes    []int
	// needs are the names that each workload in them depends on; removals are the
	// workloads that they take away.
	needs    map[string][]string
	removals []string
}

// rowOverhead is what a workload takes in a message beside its encoded row: its
// two revisions, tags and lengths.
const rowOverhead = 32

func (a *assignments) room(need int) *argosyv1.Assignments {
	last := len(a.messages) - 1
	if last < 0 || a.sizes[last] > 0 && a.sizes[last]+need > a.limit {
		a.messages = append(a.messages, &argosyv1.Assignments{Full: a.full, Revision: a.revision, Term: a.term})
		a.sizes = append(a.sizes, 0)
		last++
	}
	a.sizes[last] += need
	return a.messages[last]
}

// upsert adds a workload as it is rendered, and returns that; nil when its row does not
// decode, which is logged and leaves the agent with what it has.
func (a *assignments) upsert(row *fsm.Row) *argosyv1.Workload {
	w, err := row.Workload()
	if err != nil {
		a.log.Error("workload not assigned", "workload", row.Key, "agent", row.Group, "error", err)
		return nil
	}
	w = w.Effective()
	m := a.room(len(row.Value) + rowOverhead)
	m.Upserts = append(m.Upserts, w)
	return w
}

// noteNeeds keeps what the agent must be told of before it gets a workload.
func (a *assignments) noteNeeds(w *argosyv1.Workload) {
	if a.needs == nil {
		a.needs = map[string][]string{}
	}
	a.needs[w.GetName()] = slices.Sorted(maps.Keys(w.GetDependencies()))
}

func (a *assignments) remove(name string) {
	a.removals = append(a.removals, name)
	m := a.room(len(name) + 2)
	m.Removals = append(m.Removals, name)
}

// finish returns the messages, at least one when they are a full set.
func (a *assignments) finish() []queued {
	if a.full && len(a.messages) == 0 {
		a.room(0)
	}
	all := make([]queued, len(a.messages))
	for at, m := range a.messages {
		m.Partial = at < len(a.messages)-1
		all[at] = queued{
			message: &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Assignments{Assignments: m}},
			size:    a.sizes[at] + controlSize,
		}
	}
	return all
}

// hashOf returns the hash over rows by which an agent and a leader find out
// whether they agree.
func hashOf(rows []*fsm.Row) []byte {
	workloads := make([]*argosyv1.Workload, len(rows))
	for at, row := range rows {
		workloads[at] = &argosyv1.Workload{Name: row.Key, Revision: row.Revision}
	}
	return argosyv1.AssignmentHash(workloads)
}
