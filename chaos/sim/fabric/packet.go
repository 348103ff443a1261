package fabric

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/argosy-cluster/argosy/network"
)

// backlog is how many datagrams wait for a reader; further ones are lost.
const backlog = 1024

type datagram struct {
	data []byte
	from netip.AddrPort
}

// socket is a socket for datagrams.
type socket struct {
	host   *Host
	at     netip.AddrPort
	coming chan datagram
	once   sync.Once
	closed chan struct{}
}

var _ network.PacketConn = (*socket)(nil)

// ListenPacket implements network.Network.
func (h *Host) ListenPacket(_ context.Context, at netip.AddrPort) (network.PacketConn, error) {
	h.fabric.mu.Lock()
	defer h.fabric.mu.Unlock()
	if !h.alive() {
		return nil, syscall.ENETDOWN
	}
	port, err := h.take(at.Port(), func(p uint16) bool { return h.sockets[p] != nil })
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(at), Err: err}
	}
	s := &socket{host: h, at: netip.AddrPortFrom(h.addr, port), coming: make(chan datagram, backlog), closed: make(chan struct{})}
	h.sockets[port] = s
	return s, nil
}

func (s *socket) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-s.coming:
		return copy(b, d.data), d.from, nil
	case <-s.closed:
	case <-s.host.dead:
	}
	return 0, netip.AddrPort{}, &net.OpError{Op: "read", Net: "udp", Addr: net.UDPAddrFromAddrPort(s.at), Err: net.ErrClosed}
}

func (s *socket) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	f := s.host.fabric
	f.mu.Lock()
	defer f.mu.Unlock()
	if !s.host.alive() {
		return 0, syscall.ENETDOWN
	}
	link, cut := f.link(direction{s.at.Addr(), to.Addr()})
	if cut || f.happens(link.Loss) || link.Largest > 0 && len(b) > link.Largest {
		return len(b), nil
	}
	d := datagram{append([]byte(nil), b...), s.at}
	travel := f.travel(link)
	if f.happens(link.Reorder) {
		travel += 2*link.Delay + 2*link.Jitter
	}
	time.AfterFunc(travel, func() { f.deliver(d, to) })
	if f.happens(link.Duplicate) {
		time.AfterFunc(travel+f.travel(link), func() { f.deliver(d, to) })
	}
	return len(b), nil
}

// deliver gives a datagram to whoever is there when it arrives.
func (f *Fabric) deliver(d datagram, to netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	host := f.hosts[to.Addr()]
	if host == nil || host.sockets[to.Port()] == nil {
		return
	}
	select {
	case host.sockets[to.Port()].coming <- d:
	default:
	}
}

// SetReadBuffer implements network.PacketConn.
func (s *socket) SetReadBuffer(int) error { return nil }

func (s *socket) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.host.fabric.mu.Lock()
		defer s.host.fabric.mu.Unlock()
		if s.host.sockets[s.at.Port()] == s {
			delete(s.host.sockets, s.at.Port())
		}
	})
	return nil
}
