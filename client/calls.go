package client

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// NewRequestID returns a fresh id for a write. A caller that may have to repeat
// a write after its own crash chooses and keeps the id itself.
func NewRequestID() []byte {
	// 128 bits of a generator that the runtime seeds from the system: it need not
	// be a secret, since an id is of use to nobody but the user who chose it.
	id := make([]byte, 16)
	binary.LittleEndian.PutUint64(id, rand.Uint64())
	binary.LittleEndian.PutUint64(id[8:], rand.Uint64())
	return id
}

// Apply changes desired state. A request without an id is given one. A dry run is
// nothing but a question, that is asked again as often as need be.
func (c *Client) Apply(ctx context.Context, req *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
	if len(req.GetRequestId()) == 0 {
		// The caller's own message stays as it is, and may be used again.
		req = argosyv1.Shallow(req)
		req.RequestId = NewRequestID()
	}
	return c.change(ctx, writeOf("apply workloads", req, req.GetDryRun()), fieldNumberedApply, req,
		func(ctx context.Context, stub argosyv1.ClusterServiceClient, repeat bool, options ...grpc.CallOption) (*argosyv1.WriteResponse, error) {
			if repeat {
				again := argosyv1.Shallow(req)
				again.Repeat = true
				return stub.Apply(ctx, again, options...)
			}
			return stub.Apply(ctx, req, options...)
		})
}

// Delete removes workloads and configs. A request without an id is given one.
func (c *Client) Delete(ctx context.Context, req *argosyv1.DeleteRequest) (*argosyv1.WriteResponse, error) {
	if len(req.GetRequestId()) == 0 {
		req = argosyv1.Shallow(req)
		req.RequestId = NewRequestID()
	}
	return c.change(ctx, writeOf("delete workloads", req, req.GetDryRun()), fieldNumberedDelete, req,
		func(ctx context.Context, stub argosyv1.ClusterServiceClient, repeat bool, options ...grpc.CallOption) (*argosyv1.WriteResponse, error) {
			if repeat {
				again := argosyv1.Shallow(req)
				again.Repeat = true
				return stub.Delete(ctx, again, options...)
			}
			return stub.Delete(ctx, req, options...)
		})
}

// RemoveAgent forgets an agent that is gone for good. A request without an id is
// given one.
func (c *Client) RemoveAgent(ctx context.Context, req *argosyv1.RemoveAgentRequest) (*argosyv1.RemoveAgentResponse, error) {
	if len(req.GetRequestId()) == 0 {
		req = argosyv1.Shallow(req)
		req.RequestId = NewRequestID()
	}
	made := writeOf("remove agent "+req.GetName(), req, false)
	return call(ctx, c, made, func(ctx context.Context, stub services, options ...grpc.CallOption) (*argosyv1.RemoveAgentResponse, error) {
		if made.ambiguous.Load() {
			again := argosyv1.Shallow(req)
			again.Repeat = true
			return stub.RemoveAgent(ctx, again, options...)
		}
		return stub.RemoveAgent(ctx, req, options...)
	})
}

func writeOf(what string, req proto.Message, dry bool) *request {
	return &request{what: what, size: proto.Size(req), write: !dry, remembered: !dry}
}

// change carries out a write, by the lane of whatever endpoint it is tried at.
func (c *Client) change(ctx context.Context, what *request, field protowire.Number, req proto.Message, unary unaryWrite) (*argosyv1.WriteResponse, error) {
	if what.size > MaxMessage {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID,
			"%s: the request has %d bytes, at most %d are taken: split it into several", what.what, what.size, MaxMessage)
	}
	encoded, err := encodeChange(field, req, what.size)
	if err != nil {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "%s: encode request: %v", what.what, err)
	}
	change := &change{encoded: encoded, unary: unary}
	return call(ctx, c, what, func(ctx context.Context, stub services, options ...grpc.CallOption) (*argosyv1.WriteResponse, error) {
		return stub.of.writes.write(ctx, stub, change, what.ambiguous.Load(), options...)
	})
}

// GetWorkload reads one workload.
func (c *Client) GetWorkload(ctx context.Context, req *argosyv1.GetWorkloadRequest) (*argosyv1.GetWorkloadResponse, error) {
	return call(ctx, c, &request{what: "read workload " + req.GetName()},
		func(ctx context.Context, stub services, options ...grpc.CallOption) (*argosyv1.GetWorkloadResponse, error) {
			return stub.GetWorkload(ctx, req, options...)
		})
}

// GetState reads many objects at one revision and returns them in one message.
func (c *Client) GetState(ctx context.Context, req *argosyv1.GetStateRequest) (*argosyv1.GetStateResponse, error) {
	// A whole state takes as long as it is large: only a server that says
	// nothing at all for long is passed over.
	return call(ctx, c, &request{what: "read state", size: largeRequest + 1},
		func(ctx context.Context, stub services, options ...grpc.CallOption) (*argosyv1.GetStateResponse, error) {
			stream, err := stub.GetState(ctx, req, options...)
			if err != nil {
				return nil, err
			}
			return collect(stream, func() { stub.of.heard.Store(c.now()) })
		})
}

func collect(stream grpc.ServerStreamingClient[argosyv1.GetStateResponse], heard func()) (*argosyv1.GetStateResponse, error) {
	whole := &argosyv1.GetStateResponse{}
	err := receive(stream, func(chunk *argosyv1.GetStateResponse) error {
		heard()
		if chunk.GetHeader() != nil {
			whole.Header = chunk.GetHeader()
		}
		whole.Workloads = append(whole.Workloads, chunk.GetWorkloads()...)
		whole.States = append(whole.States, chunk.GetStates()...)
		whole.Agents = append(whole.Agents, chunk.GetAgents()...)
		whole.AgentStatuses = append(whole.AgentStatuses, chunk.GetAgentStatuses()...)
		whole.Configs = append(whole.Configs, chunk.GetConfigs()...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return whole, nil
}

// Status asks any server for the state of the cluster.
func (c *Client) Status(ctx context.Context) (*argosyv1.StatusResponse, error) {
	return call(ctx, c, &request{what: "read status"},
		func(ctx context.Context, stub services, options ...grpc.CallOption) (*argosyv1.StatusResponse, error) {
			return stub.Status(ctx, &argosyv1.StatusRequest{}, options...)
		})
}

// StatusOf asks one server, and no other, for its view of the cluster.
func (c *Client) StatusOf(ctx context.Context, address string) (*argosyv1.StatusResponse, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	for _, e := range c.endpoints {
		if e.address == address {
			return e.stub().Status(ctx, &argosyv1.StatusRequest{})
		}
	}
	return nil, fmt.Errorf("ask server %s for its status: it is not among the client's servers", address)
}

// TransferLeadership makes another server lead; any when the id is empty.
func (c *Client) TransferLeadership(ctx context.Context, serverID string) (*argosyv1.TransferLeadershipResponse, error) {
	return call(ctx, c, &request{what: "transfer leadership", size: largeRequest + 1, write: true},
		func(ctx context.Context, stub services, options ...grpc.CallOption) (*argosyv1.TransferLeadershipResponse, error) {
			return stub.TransferLeadership(ctx, &argosyv1.TransferLeadershipRequest{ServerId: serverID}, options...)
		})
}
