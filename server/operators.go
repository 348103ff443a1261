package server

import (
	"context"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/operator"
)

var _ operator.Replica = self{}

// openOperator makes the service for those who run the cluster.
func (s *Server) openOperator() (*operator.Service, error) {
	return operator.New(operator.Deps{Replica: self{s}})
}

// Revision returns the revision that this server's state has reached.
func (s self) Revision() uint64 { return s.machine.Applied() }

// Leader returns where a call goes that only the leader can carry out; nil when
// this server leads.
func (s self) Leader(ctx context.Context, what string) (argosyv1.OperatorServiceClient, context.Context, error) {
	if s.node.Leadership().Leader {
		return nil, ctx, nil
	}
	peer, err := s.leaderPeer(ctx, what)
	if err != nil {
		return nil, nil, err
	}
	return argosyv1.NewOperatorServiceClient(peer.Conn), passOn(ctx), nil
}
