package mirror

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

// Leader is the far end of a mirror; the client of PeerService is one.
type Leader interface {
	Mirror(ctx context.Context, in *argosyv1.MirrorRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[argosyv1.MirrorResponse], error)
}

// Follower says whom to follow, and as whom.
type Follower struct {
	// Store is what to fill.
	Store *observed.Store
	// Leader is whom to follow.
	Leader Leader
	// Term is the term in which it leads.
	Term uint64
	// Self is this server's own handshake.
	Self *argosyv1.PeerHandshake
	// Logger gets one line per event; nil discards.
	Logger *slog.Logger
}

// Pauses between streams that broke. The first is short, since a stream is
// what linearizable reads of observed state on this server wait for.
const (
	minPause = 20 * time.Millisecond
	maxPause = time.Second
)

// Follow fills the store from one leader until ctx ends, and opens the stream
// again when it breaks or when the other server does not lead yet: ctx is to end
// when another leader is known. It returns earlier when there is no point in
// going on: the other server belongs to another cluster (INCOMPATIBLE), or this
// server leads now (observed.ErrFenced) or has seen a later leader
// (observed.ErrStaleTerm).
func Follow(ctx context.Context, f Follower) error {
	log := f.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	copied, err := f.Store.Copy(f.Term)
	if err != nil {
		return err
	}
	pause := minPause
	for {
		copied.Restart()
		err := f.stream(ctx, copied)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if final(err) {
			return err
		}
		if copied.Synced() {
			pause = minPause
		}
		log.Warn("mirror of observed state broke", "term", f.Term, "retry_in", pause, "error", err)
		select {
		case <-time.After(pause/2 + rand.N(pause/2)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		pause = min(2*pause, maxPause)
	}
}

func final(err error) bool {
	if errors.Is(err, observed.ErrFenced) || errors.Is(err, observed.ErrStaleTerm) {
		return true
	}
	return argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE
}

func (f Follower) stream(ctx context.Context, copied *observed.Copy) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := f.Leader.Mirror(ctx, &argosyv1.MirrorRequest{Handshake: f.Self})
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		if m.GetHandshake() != nil {
			if err := agree(f.Self, m.GetHandshake()); err != nil {
				return err
			}
		}
		if err := copied.ApplyMirror(m); err != nil {
			return err
		}
	}
}
