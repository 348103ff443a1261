package session

import (
	"context"
	"fmt"
	"maps"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const (
	// maxMessage is well above what a server puts into one message.
	maxMessage = 16 << 20
	// bufferSize of a connection: sessions carry little.
	bufferSize = 8 << 10
)

// link is an open stream to a server that answered Welcome.
type link struct {
	address string
	conn    *grpc.ClientConn
	stream  grpc.BidiStreamingClient[argosyv1.AgentMessage, argosyv1.ServerMessage]
	// ctx ends with the stream.
	ctx     context.Context
	cancel  context.CancelCauseFunc
	welcome *argosyv1.Welcome
}

func (l *link) close(cause error) {
	l.cancel(cause)
	l.conn.Close()
}

// answer is what became of asking one server. Exactly one of link, redirect
// and err is set.
type answer struct {
	prospect *prospect
	conn     *grpc.ClientConn
	link     *link
	redirect *argosyv1.Redirect
	err      error
}

// dial connects to a server. It does not back off: hunt decides when to try
// again. The first connection is made before there is anything of gRPC: a server
// that refuses, as one does that has just been killed, is asked often, and all
// that gRPC builds up for it costs twenty times as much as the refusal.
func (s *Session) dial(ctx context.Context, address string) (*grpc.ClientConn, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, s.cfg.ConnectTimeout, errNoConnect)
	defer cancel()
	first, err := s.cfg.Network.Dial(bounded, address)
	if err != nil {
		if bounded.Err() != nil {
			err = context.Cause(bounded)
		}
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	var taken atomic.Bool
	creds := insecure.NewCredentials()
	if s.cfg.TLS != nil {
		creds = credentials.NewTLS(s.cfg.TLS)
	}
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			if taken.CompareAndSwap(false, true) {
				return first, nil
			}
			return s.cfg.Network.Dial(ctx, address)
		}),
		grpc.WithIdleTimeout(0),
		grpc.WithReadBufferSize(bufferSize), grpc.WithWriteBufferSize(bufferSize),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
	)
	if err != nil {
		_ = first.Close()
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	// Nobody else closes it when the caller gives up before gRPC has taken it.
	context.AfterFunc(ctx, func() {
		if taken.CompareAndSwap(false, true) {
			_ = first.Close()
		}
	})
	return conn, nil
}

// ask introduces the agent to one server. The stream of a link outlives ctx;
// whoever gets it must close it.
func (s *Session) ask(ctx context.Context, p *prospect, hello *argosyv1.AgentHello) (a answer) {
	a = answer{prospect: p, conn: p.conn}
	if a.conn == nil {
		if a.conn, a.err = s.dial(ctx, p.address); a.err != nil {
			return a
		}
	}
	streamCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	detach := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	// The machine has answered: it lives. When thousands of agents come at once
	// it is a while until one of them has its turn, and each that gives up and
	// comes again is one more.
	deadline := time.AfterFunc(s.cfg.AnswerTimeout, func() { cancel(errLate) })
	defer func() {
		deadline.Stop()
		detach()
		if a.link == nil {
			cancel(nil)
		}
		if a.err != nil {
			// Whether the connection works is not known: make another next time.
			a.conn.Close()
			a.conn = nil
		}
	}()
	fail := func(err error) answer {
		if cause := context.Cause(streamCtx); cause != nil {
			err = cause
		}
		a.err = fmt.Errorf("ask %s for a session: %w", p.address, err)
		return a
	}
	stream, err := argosyv1.NewAgentServiceClient(a.conn).Session(streamCtx)
	if err != nil {
		return fail(err)
	}
	deadline.Reset(s.cfg.AnswerTimeout)
	// An error of Send is only that the stream has ended; Recv tells why.
	_ = stream.Send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Hello{Hello: hello}})
	message, err := stream.Recv()
	if err != nil {
		return fail(err)
	}
	switch kind := message.GetKind().(type) {
	case *argosyv1.ServerMessage_Welcome:
		if !detach() || !deadline.Stop() {
			return fail(errLate)
		}
		a.link = &link{address: p.address, conn: a.conn, stream: stream, ctx: streamCtx, cancel: cancel, welcome: kind.Welcome}
	case *argosyv1.ServerMessage_Redirect:
		a.redirect = kind.Redirect
	default:
		return fail(errProtocol)
	}
	return a
}

// hello introduces the agent.
func (s *Session) hello(ctx context.Context) *argosyv1.AgentHello {
	held := s.deps.Assignments.Held()
	return &argosyv1.AgentHello{
		Name:               s.cfg.Name,
		Protocol:           argosyv1.SupportedProtocol(),
		Version:            s.cfg.Version,
		ClusterId:          held.ClusterID,
		Incarnation:        held.Incarnation,
		Tags:               maps.Clone(s.cfg.Tags),
		BootId:             s.cfg.BootID,
		HomeId:             s.cfg.HomeID,
		InstanceId:         s.cfg.InstanceID,
		Runtimes:           s.deps.Node.Runtimes(ctx),
		AssignmentRevision: held.Revision,
		AssignmentHash:     held.Hash,
		Term:               held.Term,
		Abilities:          argosyv1.Abilities,
		Awaited:            held.Awaited,
	}
}

// refusal tells whether an answer will stay the same until somebody does
// something about it.
func refusal(err error) bool {
	switch argosyv1.CodeOf(err) {
	case argosyv1.ErrorCode_ERROR_CODE_INVALID, argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN, argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE:
		return true
	default:
		return false
	}
}
