package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// ErrDiverged is returned when two servers have different states at one index,
// which must never be.
var ErrDiverged = errors.New("servers have different states")

// WaitLevel waits until all servers have applied the same index, and compares
// the hashes of their states.
func (c *Cluster) WaitLevel(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.StartTimeout)
	defer cancel()
	cl, err := c.Client(client.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = cl.Close() }()
	err = poll(ctx, func() error {
		status, err := askStatus(ctx, cl)
		if err != nil {
			return err
		}
		return compare(status.GetServers(), len(c.Servers))
	})
	if err != nil {
		return fmt.Errorf("wait until all servers are level: %w", err)
	}
	return nil
}

// compare returns nil when all servers are level, a fatal error when two of them
// differ at one index, and another one otherwise.
func compare(servers []*argosyv1.ServerStatus, want int) error {
	if len(servers) != want {
		return fmt.Errorf("%d of %d servers are known", len(servers), want)
	}
	for _, one := range servers {
		for _, other := range servers {
			if one.GetAppliedIndex() == other.GetAppliedIndex() && one.GetAppliedIndex() > 0 && one.GetStateHash() != other.GetStateHash() {
				return &fatalError{fmt.Errorf("%w: at index %d %s has %s, %s has %s", ErrDiverged, one.GetAppliedIndex(),
					one.GetName(), one.GetStateHash(), other.GetName(), other.GetStateHash())}
			}
		}
	}
	for _, server := range servers {
		if server.GetAppliedIndex() == 0 || server.GetAppliedIndex() != servers[0].GetAppliedIndex() {
			return fmt.Errorf("%s is at index %d, %s at %d", servers[0].GetName(), servers[0].GetAppliedIndex(), server.GetName(), server.GetAppliedIndex())
		}
	}
	return nil
}
