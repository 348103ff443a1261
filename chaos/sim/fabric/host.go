package fabric

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/argosy-cluster/argosy/network"
)

// Host is one life of a host, with one process on it.
type Host struct {
	fabric *Fabric
	addr   netip.Addr
	dead   chan struct{} // closed at its death

	// The fabric's lock protects what follows.
	port      uint16
	listeners map[uint16]*listener
	sockets   map[uint16]*socket
	conns     map[*conn]struct{}
}

var _ network.Network = (*Host)(nil)

// Addr is its address.
func (h *Host) Addr() netip.Addr { return h.addr }

// Dead is closed when its life ends.
func (h *Host) Dead() <-chan struct{} { return h.dead }

// alive tells whether its life goes on. The fabric's lock is held.
func (h *Host) alive() bool {
	select {
	case <-h.dead:
		return false
	default:
		return true
	}
}

// lastKeepAlive is when connections of a host that was switched off are given up
// by the other end, at the latest.
const lastKeepAlive = 15 * time.Second

// Die ends its life. When only its process dies, the system tells everybody that
// it was connected to; when it loses its power nobody is told, and finds out when
// it is back, or by probes.
func (h *Host) Die(power bool) {
	f := h.fabric
	f.mu.Lock()
	defer f.mu.Unlock()
	if !h.alive() {
		return
	}
	close(h.dead)
	if f.hosts[h.addr] == h {
		delete(f.hosts, h.addr)
	}
	for c := range h.conns {
		if power {
			c.vanish()
			continue
		}
		// The error says that the process had closed it already.
		_ = c.close()
	}
	clear(h.conns)
	clear(h.listeners)
	clear(h.sockets)
}

// ResetConnections breaks all its connections, at both ends.
func (h *Host) ResetConnections() int {
	h.fabric.mu.Lock()
	defer h.fabric.mu.Unlock()
	n := len(h.conns)
	for c := range h.conns {
		c.abort(syscall.ECONNRESET)
	}
	return n
}

// take finds a free port. The fabric's lock is held.
func (h *Host) take(wanted uint16, taken func(uint16) bool) (uint16, error) {
	if wanted != 0 {
		if taken(wanted) {
			return 0, syscall.EADDRINUSE
		}
		return wanted, nil
	}
	for range 1 << 15 {
		if h.port++; h.port < 32768 {
			h.port = 32768
		}
		if !taken(h.port) {
			return h.port, nil
		}
	}
	return 0, syscall.EADDRNOTAVAIL
}

// Listen implements network.Streams.
func (h *Host) Listen(_ context.Context, address string) (net.Listener, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	h.fabric.mu.Lock()
	defer h.fabric.mu.Unlock()
	if !h.alive() {
		return nil, syscall.ENETDOWN
	}
	port, err := h.take(at.Port(), func(p uint16) bool { return h.listeners[p] != nil })
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(at), Err: err}
	}
	l := &listener{host: h, at: netip.AddrPortFrom(h.addr, port), coming: make(chan *conn, 128), closed: make(chan struct{})}
	h.listeners[port] = l
	return l, nil
}

type listener struct {
	host   *Host
	at     netip.AddrPort
	coming chan *conn
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.coming:
		return c, nil
	case <-l.closed:
	case <-l.host.dead:
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }

func (l *listener) Close() error {
	f := l.host.fabric
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-l.closed:
		return net.ErrClosed
	default:
	}
	close(l.closed)
	if l.host.listeners[l.at.Port()] == l {
		delete(l.host.listeners, l.at.Port())
	}
	for {
		select {
		case c := <-l.coming:
			c.close()
		default:
			return nil
		}
	}
}

// Dial implements network.Streams. It knocks again as TCP does while nobody
// answers.
func (h *Host) Dial(ctx context.Context, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	failed := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	for again := time.Second; ; again *= 2 {
		way, reached := h.knock(to)
		wait := way
		if !reached {
			wait = again
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			if ctx.Err() == context.DeadlineExceeded {
				return nil, failed(os.ErrDeadlineExceeded)
			}
			return nil, failed(ctx.Err())
		case <-h.dead:
			return nil, failed(syscall.ENETDOWN)
		}
		if !reached {
			continue
		}
		c, err := h.connect(to)
		if err != nil {
			return nil, failed(err)
		}
		return c, nil
	}
}

// knock tells how long it takes to hear from a host, if it can be heard at all.
func (h *Host) knock(to netip.AddrPort) (time.Duration, bool) {
	f := h.fabric
	f.mu.Lock()
	defer f.mu.Unlock()
	there, cutThere := f.link(direction{h.addr, to.Addr()})
	back, cutBack := f.link(direction{to.Addr(), h.addr})
	if cutThere || cutBack || f.happens(there.Loss) || f.happens(back.Loss) || f.hosts[to.Addr()] == nil {
		return 0, false
	}
	return f.travel(there) + f.travel(back), true
}

func (h *Host) connect(to netip.AddrPort) (*conn, error) {
	f := h.fabric
	f.mu.Lock()
	defer f.mu.Unlock()
	if !h.alive() {
		return nil, syscall.ENETDOWN
	}
	there := f.hosts[to.Addr()]
	if there == nil {
		return nil, syscall.EHOSTUNREACH
	}
	l := there.listeners[to.Port()]
	if l == nil {
		return nil, syscall.ECONNREFUSED
	}
	port, err := h.take(0, func(uint16) bool { return false })
	if err != nil {
		return nil, err
	}
	mine, theirs := f.pair(h, there, netip.AddrPortFrom(h.addr, port), to)
	select {
	case l.coming <- theirs:
		return mine, nil
	default:
		mine.abort(syscall.ECONNREFUSED)
		return nil, syscall.ECONNREFUSED
	}
}
