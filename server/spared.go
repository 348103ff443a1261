package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/peers"
)

// A server whose data was found damaged knows the cluster as it was when it last
// took part. Others may have joined since, without whom it would seem to hold the
// last copy of something. This file asks the others.

// Limits of asking.
const (
	// sparedCall bounds the question to one server: it has to ask a quorum.
	sparedCall = 3 * time.Second
	// sparedFor is for how long servers are asked again that are there and have no
	// leader yet: what damaged one of them may have taken the leader as well. Longer
	// than an election takes under any timing profile.
	sparedFor   = 30 * time.Second
	sparedPause = 250 * time.Millisecond
)

// ErrNotSpared is returned when it is not known that the others decide without a
// server.
var ErrNotSpared = errors.New("no leader that a quorum follows was found without this server")

func apisPath(dataDir string) string { return filepath.Join(dataDir, "api-seeds") }

// Spared returns nil when the cluster of a server that does not run has a leader
// that a quorum follows: then the others have everything that it has ever
// acknowledged, and can decide without it. While they elect one it waits.
func Spared(ctx context.Context, cfg Config) error {
	own, err := consensus.ReadIdentity(cfg.DataDir, cfg.FeatureLevel)
	if err != nil {
		return fmt.Errorf("ask the other servers: %w", err)
	}
	text, err := os.ReadFile(apisPath(cfg.DataDir))
	if err != nil {
		return fmt.Errorf("ask the other servers: %w: it is not known where they are: %w", ErrNotSpared, err)
	}
	s := Server{cfg: cfg}
	if err := s.loadIdentity(); err != nil {
		return fmt.Errorf("ask the other servers: %w", err)
	}
	hello := &argosyv1.PeerHandshake{
		ClusterId: own.ClusterID, ServerId: own.ServerID, Protocol: argosyv1.SupportedProtocol(), Incarnation: own.Incarnation, FeatureLevel: cfg.FeatureLevel,
	}
	options := peers.ClientOptions(s.clientTLS(), cfg.Network)
	ctx, cancel := context.WithTimeout(ctx, sparedFor)
	defer cancel()
	addresses := strings.Fields(string(text))
	for {
		var failed []error
		electing := false
		for i := 0; i < len(addresses) && ctx.Err() == nil; i++ {
			leader, err := askIndex(ctx, addresses[i], hello, options)
			if err == nil {
				return nil
			}
			failed = append(failed, fmt.Errorf("%s: %w", addresses[i], err))
			electing = electing || argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER || status.Code(err) == codes.DeadlineExceeded
			if leader != "" && !slices.Contains(addresses, leader) {
				addresses = append(addresses, leader)
			}
		}
		if electing {
			select {
			case <-time.After(sparedPause):
				continue
			case <-ctx.Done():
			}
		}
		return fmt.Errorf("ask the other servers: %w", errors.Join(slices.Insert(failed, 0, ErrNotSpared)...))
	}
}

// askIndex asks a server for a read index, which only a leader has that a quorum
// confirms. One that does not lead says who does.
func askIndex(ctx context.Context, address string, hello *argosyv1.PeerHandshake, options []grpc.DialOption) (leader string, err error) {
	ctx, cancel := context.WithTimeout(ctx, sparedCall)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	_, err = argosyv1.NewPeerServiceClient(conn).ReadIndex(ctx, &argosyv1.ReadIndexRequest{Handshake: hello})
	if e, ok := argosyv1.AsError(err); ok {
		return e.Detail.GetLeaderAddress(), err
	}
	return "", err
}
