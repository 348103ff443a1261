package api

import (
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

type watchChunks = chunks[*argosyv1.WatchResponse]

// tells whether desired state of a kind is told by this watch.
func (w *watch) tells(row *fsm.Row) bool {
	switch row.Kind {
	case argosyv1.RowKind_ROW_KIND_WORKLOAD:
		return !w.req.GetOmitDesired() && w.wanted(row.Key)
	case argosyv1.RowKind_ROW_KIND_CONFIG:
		return !w.req.GetOmitDesired() && !w.req.GetOmitConfigs()
	case argosyv1.RowKind_ROW_KIND_AGENT:
		return !w.req.GetOmitAgents()
	default:
		return false
	}
}

// put adds an object of desired state, if this watch tells it.
func (w *watch) put(out *watchChunks, row *fsm.Row) error {
	if !w.tells(row) {
		return nil
	}
	switch row.Kind {
	case argosyv1.RowKind_ROW_KIND_WORKLOAD:
		return addRow(out, row.Workload, func(m *argosyv1.WatchResponse) *[]*argosyv1.Workload { return &m.Workloads })
	case argosyv1.RowKind_ROW_KIND_CONFIG:
		return addRow(out, row.Config, func(m *argosyv1.WatchResponse) *[]*argosyv1.Config { return &m.Configs })
	default:
		return addRow(out, row.Agent, func(m *argosyv1.WatchResponse) *[]*argosyv1.Agent { return &m.RegisteredAgents })
	}
}

func addRow[O proto.Message](out *watchChunks, decode func() (O, error), list func(*argosyv1.WatchResponse) *[]O) error {
	object, err := decode()
	if err != nil {
		return internal(err)
	}
	return add(out, list, object)
}

// drop adds the name of an object of desired state that is gone, if this watch
// tells it.
func (w *watch) drop(out *watchChunks, row *fsm.Row) error {
	if !w.tells(row) {
		return nil
	}
	if err := out.room(len(row.Key)); err != nil {
		return err
	}
	gone := &out.current.DeletedWorkloads
	switch row.Kind {
	case argosyv1.RowKind_ROW_KIND_CONFIG:
		gone = &out.current.DeletedConfigs
	case argosyv1.RowKind_ROW_KIND_AGENT:
		gone = &out.current.RemovedAgents
	}
	*gone = append(*gone, row.Key)
	return nil
}

// observed adds everything that is shown of observed state.
func (w *watch) observed(out *watchChunks, seen *observed.Snapshot, view *fsm.View) error {
	states := seen.States
	known := make(map[string]struct{}, len(states))
	for _, state := range states {
		known[state.GetInstance().Key()] = struct{}{}
	}
	for row := range view.Workloads() {
		if !w.wanted(row.Key) {
			continue
		}
		workload, err := row.Workload()
		if err != nil {
			return internal(err)
		}
		if _, spoken := known[argosyv1.InstanceOf(workload).Key()]; !spoken {
			states = append(states, w.Observed.Implied(nil, workload)...)
		}
	}
	if err := w.addStates(out, states); err != nil {
		return err
	}
	return w.addStatuses(out, seen.Agents)
}

func (w *watch) addStates(out *watchChunks, states []*argosyv1.WorkloadState) error {
	for _, state := range states {
		if !w.wanted(state.GetInstance().GetWorkload()) {
			continue
		}
		if err := add(out, func(m *argosyv1.WatchResponse) *[]*argosyv1.WorkloadState { return &m.States }, state); err != nil {
			return err
		}
	}
	return nil
}

func (w *watch) addStatuses(out *watchChunks, statuses []*argosyv1.AgentStatus) error {
	if w.req.GetOmitAgents() {
		return nil
	}
	for _, status := range statuses {
		if err := add(out, func(m *argosyv1.WatchResponse) *[]*argosyv1.AgentStatus { return &m.Agents }, status); err != nil {
			return err
		}
	}
	return nil
}

// sendChanges sends what entries changed, each entry's in messages of its own,
// so that a name is in a message once.
func (w *watch) sendChanges(batches []fsm.Batch) error {
	for i := range batches {
		if err := w.sendEntry(&batches[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *watch) sendEntry(batch *fsm.Batch) error {
	out := w.chunks()
	concerned := false
	for _, change := range batch.Changes {
		concerned = concerned || w.concerned(change)
		if err := w.addChange(out, change); err != nil {
			return err
		}
	}
	w.revision = batch.Revision
	if !concerned {
		return nil
	}
	// Only the last message of an entry completes its revision.
	out.current.Header.Revision = w.revision
	return w.stream.Send(out.current)
}

// concerned tells whether the watcher learns that a revision was reached at which
// this changed. Who leaves out desired state waits for what he has written all the
// same.
func (w *watch) concerned(change fsm.Change) bool {
	row := change.After
	if row == nil {
		row = change.Before
	}
	return w.tells(row) || (row.Kind == argosyv1.RowKind_ROW_KIND_WORKLOAD && w.wanted(row.Key))
}

func (w *watch) addChange(out *watchChunks, change fsm.Change) error {
	row := change.After
	var err error
	if row != nil {
		err = w.put(out, row)
	} else {
		row = change.Before
		err = w.drop(out, row)
	}
	if err != nil || row.Kind != argosyv1.RowKind_ROW_KIND_WORKLOAD || w.req.GetOmitObserved() || !w.wanted(row.Key) {
		return err
	}
	before, err := workloadOf(change.Before)
	if err != nil {
		return err
	}
	after, err := workloadOf(change.After)
	if err != nil {
		return err
	}
	return w.addStates(out, w.Observed.Implied(before, after))
}

func workloadOf(row *fsm.Row) (*argosyv1.Workload, error) {
	if row == nil {
		return nil, nil
	}
	w, err := row.Workload()
	if err != nil {
		return nil, internal(err)
	}
	return w, nil
}

// sendReports sends what agents reported.
func (w *watch) sendReports(batches []observed.Batch) error {
	view := w.State.View()
	desired := func(name string) *argosyv1.Workload {
		row, ok := view.Workload(name)
		if !ok {
			return nil
		}
		workload, err := row.Workload()
		if err != nil {
			return nil
		}
		return workload
	}
	for _, batch := range batches {
		out := w.chunks()
		if err := w.addStates(out, observed.Shown(batch.States, desired)); err != nil {
			return err
		}
		if err := w.addStatuses(out, batch.Agents); err != nil {
			return err
		}
		if err := w.forgetAgents(out, batch.RemovedAgents, view); err != nil {
			return err
		}
		if out.size == 0 {
			continue
		}
		if err := w.stream.Send(out.current); err != nil {
			return err
		}
	}
	return nil
}

// forgetAgents tells of agents of which nothing is known any more: they are gone,
// or, while they are registered, not connected.
func (w *watch) forgetAgents(out *watchChunks, names []string, view *fsm.View) error {
	if w.req.GetOmitAgents() {
		return nil
	}
	for _, name := range names {
		if _, registered := view.Agent(name); registered {
			if err := w.addStatuses(out, []*argosyv1.AgentStatus{{Name: name}}); err != nil {
				return err
			}
			continue
		}
		if err := out.room(len(name)); err != nil {
			return err
		}
		out.current.RemovedAgents = append(out.current.RemovedAgents, name)
	}
	return nil
}
