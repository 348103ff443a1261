package mirror

import (
	"context"
	"errors"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

// Stream is the leader's end of a mirror stream.
type Stream interface {
	Context() context.Context
	Send(*argosyv1.MirrorResponse) error
}

// Serve answers a Mirror call: it sends observed state for as long as this
// server leads and the follower listens. self is this server's own handshake.
func Serve(store *observed.Store, self *argosyv1.PeerHandshake, request *argosyv1.MirrorRequest, stream Stream) error {
	if err := agree(self, request.GetHandshake()); err != nil {
		return err
	}
	lead, ok := store.Leading()
	if !ok {
		return notLeader(self)
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	go func() {
		select {
		case <-lead.Done():
			cancel(notLeader(self))
		case <-ctx.Done():
		}
	}()
	err := send(ctx, store, lead.Term(), self, stream)
	if api, ok := argosyv1.AsError(context.Cause(ctx)); ok {
		return api
	}
	return err
}

func send(ctx context.Context, store *observed.Store, term uint64, self *argosyv1.PeerHandshake, stream Stream) error {
	handshake := self
	for {
		snapshot, subscription := store.Subscribe()
		messages, sequence := fullCopy(snapshot), snapshot.Position.Sequence
		for {
			for _, m := range messages {
				if m.GetTerm() != term {
					return notLeader(self)
				}
				m.Handshake, handshake = handshake, nil
				if err := stream.Send(m); err != nil {
					return err
				}
			}
			batches, err := subscription.Next(ctx)
			if errors.Is(err, observed.ErrCompacted) {
				break // the follower was overtaken: a full copy again
			}
			if err != nil {
				return err
			}
			messages = changes(sequence, batches)
			sequence = batches[len(batches)-1].Position.Sequence
		}
	}
}

func notLeader(self *argosyv1.PeerHandshake) error {
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER,
		"mirror observed state: server %s does not lead; ask the leader", self.GetServerId())
}

// agree checks that both ends belong to one cluster and have a protocol version
// in common.
func agree(self, peer *argosyv1.PeerHandshake) error {
	if self.GetClusterId() != peer.GetClusterId() {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
			"mirror observed state: server %s belongs to cluster %q, server %s to cluster %q; they must not talk",
			self.GetServerId(), self.GetClusterId(), peer.GetServerId(), peer.GetClusterId())
	}
	if self.GetIncarnation() != peer.GetIncarnation() {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
			"mirror observed state: server %s is of incarnation %s of the cluster, server %s of %s; they must not talk",
			self.GetServerId(), argosyv1.DescribeIncarnation(self.GetIncarnation()),
			peer.GetServerId(), argosyv1.DescribeIncarnation(peer.GetIncarnation()))
	}
	if _, ok := argosyv1.NegotiateProtocol(self.GetProtocol(), peer.GetProtocol()); !ok {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
			"mirror observed state: server %s speaks protocol %d to %d, server %s speaks %d to %d; upgrade the older one",
			self.GetServerId(), self.GetProtocol().GetMin(), self.GetProtocol().GetMax(),
			peer.GetServerId(), peer.GetProtocol().GetMin(), peer.GetProtocol().GetMax())
	}
	return nil
}
