package consensus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/membership/identity"
	"github.com/argosy-cluster/argosy/network"
)

// systemNetwork is the system's, with probes that clear away within seconds the
// half-open connections that a server leaves behind when it loses power.
func systemNetwork() network.Streams {
	return network.System{KeepAlive: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}}
}

// layer is the stream layer below raft.NetworkTransport: mutual TLS when there
// is an identity, the preamble, and the knowledge of which server is at the
// other end of each connection.
type layer struct {
	listener  net.Listener
	advertise advertised
	self      string
	// process is the id of this process, see twin.go.
	process  string
	realm    func() realm
	tls      *identity.Identity
	network  network.Streams
	patience time.Duration // for a connection to be set up
	lost     func(peer string)
	dialled  func(peer, address string, err error)
	log      *slog.Logger
	quiet    *limiter

	ready chan net.Conn
	ctx   context.Context
	stop  context.CancelFunc
	work  sync.WaitGroup

	mu    sync.Mutex
	conns map[io.Closer]struct{}
	shut  bool
}

var _ raft.StreamLayer = (*layer)(nil)

// maxSetups bounds how many connections may be half set up at a time.
const maxSetups = 64

// advertised is an address as it was written: Raft compares texts.
type advertised string

func (advertised) Network() string  { return "tcp" }
func (a advertised) String() string { return string(a) }

// start begins to accept connections.
func (l *layer) start() {
	l.ready = make(chan net.Conn)
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.conns = make(map[io.Closer]struct{})
	l.work.Go(l.accept)
}

func (l *layer) Addr() net.Addr { return l.advertise }

// Accept returns the next connection that is set up.
func (l *layer) Accept() (net.Conn, error) {
	select {
	case conn := <-l.ready:
		return conn, nil
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close stops listening and cuts every connection. NetworkTransport would
// leave them open, and the others would go on to wait for a server that is
// gone. It may be called twice.
func (l *layer) Close() error {
	l.stop()
	l.mu.Lock()
	if l.shut {
		l.mu.Unlock()
		return nil
	}
	l.shut = true
	conns := l.conns
	l.conns = nil
	l.mu.Unlock()
	err := l.listener.Close()
	for conn := range conns {
		_ = conn.Close()
	}
	l.work.Wait()
	return err
}

// target names a server and its address in the one text that Dial is given.
func target(id raft.ServerID, address raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(string(id) + "@" + string(address))
}

// errDial marks errors from before a connection was set up.
var errDial = errors.New("connect to server")

// Dial connects to the server that the text names, and to no other.
func (l *layer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	id, address, ok := strings.Cut(string(to), "@")
	if !ok {
		return nil, fmt.Errorf("%w at %s: no server named", errDial, to)
	}
	if l.realm().cluster == "" {
		return nil, fmt.Errorf("%w %s: %w: this server is in no cluster yet", errDial, id, ErrClusterID)
	}
	ctx, cancel := context.WithTimeout(l.ctx, min(timeout, l.patience))
	defer cancel()
	conn, err := l.network.Dial(ctx, address)
	l.dialled(id, address, err)
	if err != nil {
		return nil, fmt.Errorf("%w %s at %s: %w", errDial, id, address, err)
	}
	set, err := l.call(ctx, conn, id)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%w %s at %s: %w", errDial, id, address, err)
	}
	return set, nil
}

func (l *layer) call(ctx context.Context, raw net.Conn, id string) (net.Conn, error) {
	return l.callAs(ctx, raw, l.self, id)
}

// callAs calls a server under a name.
func (l *layer) callAs(ctx context.Context, raw net.Conn, name, id string) (net.Conn, error) {
	if !l.keep(raw) {
		return nil, ErrStopped
	}
	limit, _ := ctx.Deadline()
	if err := raw.SetDeadline(limit); err != nil {
		return nil, l.drop(raw, err)
	}
	conn := raw
	if l.tls != nil {
		secured := tls.Client(raw, l.tls.ClientTLS(identity.ServerName))
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, l.drop(raw, fmt.Errorf("TLS: %w", err))
		}
		conn = secured
	}
	if err := writeCall(conn, call{streamVersion, streamVersion, l.realm().String(), name, id}); err != nil {
		return nil, l.drop(raw, err)
	}
	refusal, err := readAnswer(conn)
	if err != nil {
		return nil, l.drop(raw, err)
	}
	if refusal != "" {
		return nil, l.drop(raw, fmt.Errorf("refused: %s", refusal))
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, l.drop(raw, err)
	}
	return &stream{Conn: conn, raw: raw, layer: l}, nil
}

func (l *layer) accept() {
	setups := make(chan struct{}, maxSetups)
	for {
		raw, err := l.listener.Accept()
		if err != nil {
			if l.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			l.log.Error("failed to accept a Raft connection", "error", err)
			select { // out of file descriptors, most likely
			case <-time.After(100 * time.Millisecond):
			case <-l.ctx.Done():
			}
			continue
		}
		select {
		case setups <- struct{}{}:
		case <-l.ctx.Done():
			_ = raw.Close()
			return
		}
		l.work.Go(func() {
			conn, err := l.answer(raw)
			<-setups
			if err != nil {
				l.refused(raw.RemoteAddr(), err)
				return
			}
			select {
			case l.ready <- conn:
			case <-l.ctx.Done():
				_ = conn.Close()
			}
		})
	}
}

// answer sets up a connection that another server has opened.
func (l *layer) answer(raw net.Conn) (net.Conn, error) {
	if !l.keep(raw) {
		return nil, errors.Join(ErrStopped, raw.Close())
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.patience)
	defer cancel()
	limit, _ := ctx.Deadline()
	if err := raw.SetDeadline(limit); err != nil {
		return nil, l.drop(raw, err)
	}
	conn := raw
	if l.tls != nil {
		secured := tls.Server(raw, l.tls.ServerTLS())
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, l.drop(raw, fmt.Errorf("TLS: %w", err))
		}
		if err := identity.CheckPeerName(secured.ConnectionState(), identity.ServerName); err != nil {
			_ = writeAnswer(secured, err.Error())
			return nil, l.drop(raw, err)
		}
		conn = secured
	}
	c, err := readCall(conn)
	if err != nil {
		return nil, l.drop(raw, err)
	}
	if err := l.judge(c); err != nil {
		_ = writeAnswer(conn, err.Error())
		return nil, l.drop(raw, fmt.Errorf("server %s: %w", c.from, err))
	}
	if err := writeAnswer(conn, ""); err != nil {
		return nil, l.drop(raw, err)
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, l.drop(raw, err)
	}
	caller := c.from
	if looks, _ := l.probes(caller); looks {
		caller = "" // nobody dies when it goes
	}
	return &stream{Conn: conn, raw: raw, layer: l, caller: caller}, nil
}

// judge says why a call is not for this server, in words for the people of
// both sides.
func (l *layer) judge(c call) error {
	if c.lowest > streamVersion || c.highest < streamVersion {
		return fmt.Errorf("it speaks versions %d to %d of the Raft stream, this server %d", c.lowest, c.highest, streamVersion)
	}
	if err := l.realm().refuse(l.self, parseRealm(c.realm)); err != nil {
		return err
	}
	_, itself := l.probes(c.from)
	switch {
	case itself:
		return errSelf
	case c.to != l.self:
		return fmt.Errorf("this is server %s, the caller wants server %s", l.self, c.to)
	case c.from == l.self:
		return fmt.Errorf("the caller has this server's own id %s: a data directory was copied", l.self)
	}
	return nil
}

// refused tells of a connection that was not set up, unless it was a look
// whether anybody listens.
func (l *layer) refused(from net.Addr, err error) {
	if errors.Is(err, io.EOF) || l.ctx.Err() != nil {
		return
	}
	host, _, _ := net.SplitHostPort(from.String())
	if ok, _ := l.quiet.allow(host + err.Error()); ok {
		l.log.Warn("refused a Raft connection", "from", from.String(), "error", err)
	}
}

// keep remembers a connection so that Close can cut it, and returns false when
// the layer is closed.
func (l *layer) keep(raw net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return false
	}
	l.conns[raw] = struct{}{}
	return true
}

// drop closes a connection and returns the error that led to it.
func (l *layer) drop(raw net.Conn, err error) error {
	l.mu.Lock()
	delete(l.conns, raw)
	l.mu.Unlock()
	_ = raw.Close()
	return err
}

// stream is a connection that is set up. When one that another server has
// opened breaks, the layer's owner is told whose it was: it is the first that
// is seen of a process that died.
type stream struct {
	net.Conn
	raw    net.Conn
	layer  *layer
	caller string // "" when this side opened it
	closed atomic.Bool
}

func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	switch {
	case err == nil:
	case s.layer.ctx.Err() != nil:
		err = io.EOF // the end that everybody expects
	case s.caller != "" && !s.closed.Swap(true):
		s.layer.lost(s.caller)
	}
	return n, err
}

// Close cuts the connection below TLS: a farewell to a frozen peer would wait
// for room in its buffer.
func (s *stream) Close() error {
	s.closed.Store(true)
	_ = s.layer.drop(s.raw, nil)
	return nil
}
