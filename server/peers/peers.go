// Package peers keeps a connection to every other server open and warm, so that
// whoever leads next can be asked without a dial. It protects one invariant: a
// connection belongs to a server's id and its present address; when the address
// changes, calls on the old connection end.
package peers

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/network"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// MaxMessage is the size in bytes of the largest message between servers: one
// Apply of the largest size allowed and some room.
const MaxMessage = 32 << 20

// Windows of HTTP/2. Fixed and large, so that a batch of writes or a large apply
// is not held up by round trips that grant more.
const (
	streamWindow     = 4 << 20
	connectionWindow = 8 << 20
)

// ClientOptions are the dial options for calls to a server; a nil config means no
// TLS, a nil network the system's.
func ClientOptions(config *tls.Config, through network.Streams) []grpc.DialOption {
	transport := insecure.NewCredentials()
	if config != nil {
		transport = credentials.NewTLS(config)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithNoProxy(),
		grpc.WithIdleTimeout(0),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 2 * time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true}),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connectionWindow),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage)),
	}
	if through != nil {
		options = append(options, grpc.WithContextDialer(through.Dial))
	}
	return options
}

// ServerOptions are the options of a server that such clients call; nil means
// no TLS.
func ServerOptions(config *tls.Config) []grpc.ServerOption {
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(MaxMessage),
		grpc.MaxSendMsgSize(MaxMessage),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connectionWindow),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
	}
	if config != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	return options
}

// Peer is one other server.
type Peer struct {
	// ID is its server id.
	ID string
	// Address is that of its API.
	Address string
	// Conn is the connection.
	Conn *grpc.ClientConn
	argosyv1.PeerServiceClient

	cancel context.CancelFunc
}

// Connected tells whether the connection stands.
func (p *Peer) Connected() bool { return p.Conn.GetState() == connectivity.Ready }

// Pool is the connections to all other servers.
type Pool struct {
	options []grpc.DialOption

	mu     sync.Mutex
	peers  map[string]*Peer
	closed bool
	tasks  sync.WaitGroup
	notify func()
}

// NewPool makes an empty Pool. notify is called whenever a connection comes or
// goes; it must not block.
func NewPool(options []grpc.DialOption, notify func()) *Pool {
	return &Pool{options: options, peers: map[string]*Peer{}, notify: notify}
}

// Set makes sure of a connection to a server at an address. alive tells that
// there is fresh word of it, so that a dial is worth a try at once.
func (p *Pool) Set(id, address string, alive bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	if old, ok := p.peers[id]; ok {
		if old.Address == address {
			if alive && old.Conn.GetState() == connectivity.TransientFailure {
				old.Conn.ResetConnectBackoff()
			}
			return nil
		}
		p.drop(old)
	}
	conn, err := grpc.NewClient("passthrough:///"+address, p.options...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	peer := &Peer{ID: id, Address: address, Conn: conn, PeerServiceClient: argosyv1.NewPeerServiceClient(conn), cancel: cancel}
	p.peers[id] = peer
	p.tasks.Go(func() { p.keepWarm(ctx, conn) })
	return nil
}

// keepWarm connects again whenever the connection is gone.
func (p *Pool) keepWarm(ctx context.Context, conn *grpc.ClientConn) {
	for {
		state := conn.GetState()
		if state == connectivity.Idle {
			conn.Connect()
		}
		if !conn.WaitForStateChange(ctx, state) {
			return
		}
		p.notify()
	}
}

// Get returns the connection to a server.
func (p *Pool) Get(id string) (*Peer, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	peer, ok := p.peers[id]
	return peer, ok
}

// All returns the connections to all servers.
func (p *Pool) All() []*Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*Peer, 0, len(p.peers))
	for _, peer := range p.peers {
		all = append(all, peer)
	}
	return all
}

// Keep closes the connections to all servers but these.
func (p *Pool) Keep(wanted func(id string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, peer := range p.peers {
		if !wanted(id) {
			p.drop(peer)
			delete(p.peers, id)
		}
	}
}

// Close closes all connections. Twice is fine.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	for id, peer := range p.peers {
		p.drop(peer)
		delete(p.peers, id)
	}
	p.mu.Unlock()
	p.tasks.Wait()
}

func (p *Pool) drop(peer *Peer) {
	peer.cancel()
	// Closing a client connection only fails when it is closed already.
	_ = peer.Conn.Close()
}
