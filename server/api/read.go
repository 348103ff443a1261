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
			if err := out.room(proto.Size(w)); err != nil {
				return err
			}
			out.current.Workloads = append(out.current.Workloads, w)
		}
	}
	if !req.GetOmitStates() {
		states, err := s.states(view, req)
		if err != nil {
			return err
		}
		for _, state := range states {
			if err := out.room(proto.Size(state)); err != nil {
				return err
			}
			out.current.States = append(out.current.States, state)
		}
	}
	if !req.GetOmitAgents() {
		for row := range view.Agents() {
			a, err := row.Agent()
			if err != nil {
				return internal(err)
			}
			if err := out.room(proto.Size(a)); err != nil {
				return err
			}
			out.current.Agents = append(out.current.Agents, a)
		}
		for _, status := range s.Observed.Agents() {
			if err := out.room(proto.Size(status)); err != nil {
				return err
			}
			out.current.AgentStatuses = append(out.current.AgentStatuses, status)
		}
	}
	return stream.Send(out.current)
}

// rowsOf yields the workloads that a request asks for, by name.
func rowsOf(view *fsm.View, req *argosyv1.GetStateRequest) iter.Seq[*fsm.Row] {
	if names := req.GetNames(); len(names) > 0 {
		return func(yield func(*fsm.Row) bool) {
			for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
				row, ok := view.Workload(name)
				if ok && (req.GetAgent() == "" || row.Group == req.GetAgent()) && !yield(row) {
					return
				}
			}
		}
	}
	if req.GetAgent() != "" {
		return view.WorkloadsOf(req.GetAgent())
	}
	return view.Workloads()
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

func internal(err error) error {
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INTERNAL, "read state: %v", err)
}
