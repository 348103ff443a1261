package consensus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// Server is one server of the cluster.
type Server struct {
	// ID is the UUID in its data directory.
	ID string
	// RaftAddress is where the others dial it.
	RaftAddress string
	// Voter says whether it has a vote.
	Voter bool
}

// Bootstrap makes a new cluster of the given servers, all of them voters. It
// is called on one of them; the others learn of it by being led, and must have
// been given the cluster's id before (SetClusterID).
func (n *Node) Bootstrap(clusterID string, servers []Server) error {
	if n.Initialized() {
		return fmt.Errorf("bootstrap: %w %s", ErrBootstrapped, n.ClusterID())
	}
	if !slices.ContainsFunc(servers, func(s Server) bool { return s.ID == n.ID() }) {
		return fmt.Errorf("bootstrap: %w: this server, %s, is not among those of the new cluster", ErrUnknownServer, n.ID())
	}
	var configuration raft.Configuration
	for _, s := range servers {
		configuration.Servers = append(configuration.Servers, raft.Server{
			Suffrage: raft.Voter,
			ID:       raft.ServerID(s.ID),
			Address:  raft.ServerAddress(s.RaftAddress),
		})
	}
	if err := n.SetClusterID(clusterID); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	if err := n.raft.BootstrapCluster(configuration).Error(); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	n.log.Info("founded cluster", "cluster", clusterID, "servers", len(servers))
	n.vigil.found()
	return nil
}

// Initialized reports whether the server is part of a cluster: whether it has
// any Raft state.
func (n *Node) Initialized() bool {
	return n.raft.LastIndex() > 0 || len(n.configuration().Servers) > 0
}

// Configuration returns the servers of the cluster, as far as this one knows.
func (n *Node) Configuration() ([]Server, error) {
	if n.stopped() {
		return nil, fmt.Errorf("get configuration: %w", ErrStopped)
	}
	var servers []Server
	for _, s := range n.configuration().Servers {
		servers = append(servers, Server{ID: string(s.ID), RaftAddress: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	return servers, nil
}

// AddServer adds a server without a vote, which PromoteServer gives it, or
// gives a server that is there already a new address.
func (n *Node) AddServer(ctx context.Context, id, address string) error {
	servers := n.configuration()
	for _, s := range servers.Servers {
		switch {
		case string(s.ID) != id && string(s.Address) == address:
			return fmt.Errorf("add server %s: %w: %s is the address of server %s; remove that one first, or give it its new address", id, ErrAddressTaken, address, s.ID)
		case string(s.ID) == id && string(s.Address) == address:
			return nil
		}
	}
	// For a voter this changes the address and leaves the vote.
	err := n.change(ctx, 0, func(limit time.Duration) raft.IndexFuture {
		return n.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(address), 0, limit)
	})
	if err != nil {
		return fmt.Errorf("add server %s at %s: %w", id, address, err)
	}
	n.log.Info("added server", "server", id, "address", address)
	return nil
}

// RemoveServer takes a server out of the cluster.
func (n *Node) RemoveServer(ctx context.Context, id string) error {
	return n.RemoveServerAt(ctx, id, 0)
}

// change carries out a change of the configuration, one at a time, if that is
// still the one of a fingerprint; 0 means whichever it is.
func (n *Node) change(ctx context.Context, configuration uint64, begin func(limit time.Duration) raft.IndexFuture) error {
	select {
	case n.changing <- struct{}{}:
		defer func() { <-n.changing }()
	case <-ctx.Done():
		return fmt.Errorf("%w: another change of the configuration is under way: %w", ErrChanged, context.Cause(ctx))
	}
	if configuration != 0 && configuration != fingerprint(n.configuration()) {
		return ErrChanged
	}
	limit := enqueueLimit
	if deadline, ok := ctx.Deadline(); ok {
		limit = max(time.Millisecond, min(limit, time.Until(deadline)))
	}
	if !n.gate.enter() {
		return fmt.Errorf("%w: it is handing leadership over", ErrNotLeader)
	}
	done := make(chan error, 1)
	go func() {
		defer n.gate.leave()
		done <- begin(limit).Error()
	}()
	select {
	case err := <-done:
		if err != nil {
			return changeError(err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrFateUnknown, context.Cause(ctx))
	}
}

// changeError is fate for changes of the configuration. Raft checks these
// before it does anything; its objections are passed on as they are.
func changeError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	case errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrRaftShutdown):
		return fmt.Errorf("%w: %w", ErrFateUnknown, err)
	default:
		return err
	}
}

func (n *Node) id() raft.ServerID { return raft.ServerID(n.dir.serverID) }

func (n *Node) configuration() raft.Configuration {
	return n.raft.GetConfiguration().Configuration()
}

func (n *Node) voters() []raft.ServerID {
	var voters []raft.ServerID
	for _, s := range n.configuration().Servers {
		if s.Suffrage == raft.Voter {
			voters = append(voters, s.ID)
		}
	}
	return voters
}
