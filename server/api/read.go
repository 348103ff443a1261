package api

import (
	"context"
	"iter"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// chunkBytes is about how large one message of a stream is; far below the 4 MiB
// that gRPC clients take by default.
const chunkBytes = 1 << 20

// view waits until this replica may answer, and returns the state to answer
// from and the header to answer with.
func (s *Service) view(ctx context.Context, consistency argosyv1.Consistency) (*fsm.View, *argosyv1.ResponseHeader, error) {
	switch consistency {
	case argosyv1.Consistency_CONSISTENCY_LINEARIZABLE:
		if err := s.Reads.Await(ctx); err != nil {
			return nil, nil, err
		}
		view := s.State.View()
		return view, s.header(view.Revision()), nil
	case argosyv1.Consistency_CONSISTENCY_STALE:
		// The age first: what is read after it is not older.
		age := s.Replica.StalenessMillis()
		view := s.State.View()
		header := s.header(view.Revision())
		header.StalenessMs = age
		return view, header, nil
	}
	return nil, nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "read: consistency %d is not known to this server", consistency)
}

// GetWorkload reads one workload and the states of its instances.
func (s *Service) GetWorkload(ctx context.Context, req *argosyv1.GetWorkloadRequest) (*argosyv1.GetWorkloadResponse, error) {
	view, header, err := s.view(ctx, req.GetConsistency())
	if err != nil {
		return nil, err
	}
	row, ok := view.Workload(req.GetName())
	if !ok {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "read workload %q: there is no such workload", req.GetName())
	}
	w, err := row.Workload()
	if err != nil {
		return nil, internal(err)
	}
	return &argosyv1.GetWorkloadResponse{Header: header, Workload: w, States: s.Observed.StatesOf(w.GetName(), w)}, nil
}

// GetState reads desired and observed state, or a part of it.
func (s *Service) GetState(req *argosyv1.GetStateRequest, stream grpc.ServerStreamingServer[argosyv1.GetStateResponse]) error {
	view, header, err := s.view(stream.Context(), req.GetConsistency())
	if err != nil {
		return err
	}
	out := &chunks[*argosyv1.GetStateResponse]{
		current: &argosyv1.GetStateResponse{Header: header},
		fresh:   func() *argosyv1.GetStateResponse { return &argosyv1.GetStateResponse{} },
		send:    stream.Send,
	}
	if !req.GetOmitWorkloads() {
		for row := range rowsOf(view, req) {
			w, err := row.Workload()
			if err != nil {
				return internal(err)
			}
			if err := add(out, func(m *argosyv1.GetStateResponse) *[]*argosyv1.Workload { return &m.Workloads }, w); err != nil {
				return err
			}
		}
	}
	if !req.GetOmitConfigs() {
		for row := range configsOf(view, req.GetConfigKeys()) {
			c, err := row.Config()
			if err != nil {
				return internal(err)
			}
			if err := add(out, func(m *argosyv1.GetStateResponse) *[]*argosyv1.Config { return &m.Configs }, c); err != nil {
				return err
			}
		}
	}
	if !req.GetOmitStates() {
		states, err := s.states(view, req)
		if err != nil {
			return err
		}
		for _, state := range states {
			if err := add(out, func(m *argosyv1.GetStateResponse) *[]*argosyv1.WorkloadState { return &m.States }, state); err != nil {
				return err
			}
		}
	}
	if !req.GetOmitAgents() {
		if err := s.addAgents(out, view); err != nil {
			return err
		}
	}
	return stream.Send(out.current)
}

// addAgents adds the agents as they are registered, and what is known of them.
func (s *Service) addAgents(out *chunks[*argosyv1.GetStateResponse], view *fsm.View) error {
	for row := range view.Agents() {
		a, err := row.Agent()
		if err != nil {
			return internal(err)
		}
		if err := add(out, func(m *argosyv1.GetStateResponse) *[]*argosyv1.Agent { return &m.Agents }, a); err != nil {
			return err
		}
	}
	for _, status := range s.Observed.Agents() {
		if err := add(out, func(m *argosyv1.GetStateResponse) *[]*argosyv1.AgentStatus { return &m.AgentStatuses }, status); err != nil {
			return err
		}
	}
	return nil
}

// rowsOf yields the workloads that a request asks for, by name.
func rowsOf(view *fsm.View, req *argosyv1.GetStateRequest) iter.Seq[*fsm.Row] {
	if names := req.GetNames(); len(names) > 0 {
		return named(names, func(name string) (*fsm.Row, bool) {
			row, ok := view.Workload(name)
			return row, ok && (req.GetAgent() == "" || row.Group == req.GetAgent())
		})
	}
	if req.GetAgent() != "" {
		return view.WorkloadsOf(req.GetAgent())
	}
	return view.Workloads()
}

// configsOf yields the configs of some keys, those of none for all.
func configsOf(view *fsm.View, keys []string) iter.Seq[*fsm.Row] {
	if len(keys) > 0 {
		return named(keys, view.Config)
	}
	return view.Configs()
}

// named yields the rows of names that there are, each once, in order.
func named(names []string, find func(string) (*fsm.Row, bool)) iter.Seq[*fsm.Row] {
	return func(yield func(*fsm.Row) bool) {
		for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
			if row, ok := find(name); ok && !yield(row) {
				return
			}
		}
	}
}

// states returns what users see of the workloads that a request asks for.
func (s *Service) states(view *fsm.View, req *argosyv1.GetStateRequest) ([]*argosyv1.WorkloadState, error) {
	var states []*argosyv1.WorkloadState
	var failure error
	if names := req.GetNames(); len(names) > 0 {
		for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
			var w *argosyv1.Workload
			if row, ok := view.Workload(name); ok {
				if w, failure = row.Workload(); failure != nil {
					return nil, internal(failure)
				}
			}
			states = append(states, s.Observed.StatesOf(name, w)...)
		}
	} else {
		states = s.Observed.States(func(yield func(*argosyv1.Workload) bool) {
			for row := range view.Workloads() {
				w, err := row.Workload()
				if err != nil {
					failure = err
					return
				}
				if !yield(w) {
					return
				}
			}
		})
		if failure != nil {
			return nil, internal(failure)
		}
	}
	if agent := req.GetAgent(); agent != "" {
		states = slices.DeleteFunc(states, func(state *argosyv1.WorkloadState) bool { return state.GetInstance().GetAgent() != agent })
	}
	return states, nil
}

// chunks cuts what is sent into messages of a bounded size.
type chunks[M any] struct {
	current M
	size    int
	fresh   func() M
	send    func(M) error
}

// room makes room for something of a size in the current message.
func (c *chunks[M]) room(size int) error {
	if c.size > 0 && c.size+size > chunkBytes {
		if err := c.send(c.current); err != nil {
			return err
		}
		c.current, c.size = c.fresh(), 0
	}
	c.size += size + 8
	return nil
}

// add adds one object to the list that list finds in a message.
func add[M any, O proto.Message](c *chunks[M], list func(M) *[]O, object O) error {
	if err := c.room(proto.Size(object)); err != nil {
		return err
	}
	objects := list(c.current)
	*objects = append(*objects, object)
	return nil
}

func internal(err error) error {
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INTERNAL, "read state: %v", err)
}
