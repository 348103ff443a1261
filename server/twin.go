package server

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/peers"
)

// This file ends a server of which there are two: somebody copied a data
// directory and runs both. Consensus looks where Raft's configuration has this
// server; here is looked where gossip has heard of another one. The one that was
// started later ends.

// rivalCall bounds a question to somebody who claims to be this server.
const rivalCall = time.Second

// checkTwin returns consensus.ErrTwin when this server is the second of two.
func (s *Server) checkTwin(ctx context.Context) error {
	if err := s.node.CheckTwin(ctx); err != nil {
		return err
	}
	rival, claimed := s.members.Load().Rival()
	if !claimed || rival == s.rival {
		return nil
	}
	other, err := s.askRival(ctx, rival.APIAddress)
	if err != nil || other.GetServer().GetId() != s.node.ID() || other.GetProcessId() == s.node.ProcessID() || other.GetProcessId() == "" {
		// Most often it was this server itself, before it came back elsewhere.
		return nil
	}
	s.rival = rival
	if cmp.Or(cmp.Compare(s.started.UnixNano(), other.GetStartedUnixNanos()), cmp.Compare(s.node.ProcessID(), other.GetProcessId())) > 0 {
		return fmt.Errorf("%w: server %s runs with its API at %s; a data directory was copied: stop one of the two for good, and give it an empty directory and --join",
			consensus.ErrTwin, s.node.ID(), rival.APIAddress)
	}
	s.log.Error("a second process runs under the id of this server; it was started later and ends if it can tell: a data directory was copied",
		"id", s.node.ID(), "api", rival.APIAddress, "gossip", rival.GossipAddress)
	return nil
}

// askRival asks somebody who claims to be this server who it is.
func (s *Server) askRival(ctx context.Context, address string) (*argosyv1.DescribeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, rivalCall)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+address, peers.ClientOptions(s.clientTLS(), s.cfg.Network)...)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return argosyv1.NewPeerServiceClient(conn).Describe(ctx, &argosyv1.DescribeRequest{Handshake: s.handshake()})
}
