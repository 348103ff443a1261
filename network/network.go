// Package network is what the parts of a server and of an agent need of the
// operating system to talk to others. The invariant it protects: nobody goes
// around it. Whoever stands in its place (a simulation, a test) sees and decides
// everything that leaves a process and everything that reaches it.
package network

import (
	"context"
	"net"
	"net/netip"
)

// Streams are connections.
type Streams interface {
	// Listen waits for connections at host:port; port 0 is any free one.
	Listen(ctx context.Context, address string) (net.Listener, error)
	// Dial connects to host:port.
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// Network is connections and datagrams.
type Network interface {
	Streams
	// ListenPacket takes host:port for datagrams. Every socket may send to every
	// other one.
	ListenPacket(ctx context.Context, address netip.AddrPort) (PacketConn, error)
}

// PacketConn is a socket for datagrams. *net.UDPConn is one.
type PacketConn interface {
	// ReadFromUDPAddrPort waits for a datagram. What does not fit is cut off.
	ReadFromUDPAddrPort(b []byte) (n int, from netip.AddrPort, err error)
	// WriteToUDPAddrPort sends one.
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	// SetReadBuffer asks for room for bursts, in bytes.
	SetReadBuffer(bytes int) error
	Close() error
}

var _ PacketConn = (*net.UDPConn)(nil)

// System is the network of the operating system. Its zero value is how Go uses
// it.
type System struct {
	// KeepAlive are the probes that clear away connections whose other end has
	// gone without a word.
	KeepAlive net.KeepAliveConfig
}

var _ Network = System{}

// Listen implements Streams.
func (s System) Listen(ctx context.Context, address string) (net.Listener, error) {
	config := net.ListenConfig{KeepAliveConfig: s.KeepAlive}
	return config.Listen(ctx, "tcp", address)
}

// Dial implements Streams.
func (s System) Dial(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{KeepAliveConfig: s.KeepAlive}
	return dialer.DialContext(ctx, "tcp", address)
}

// ListenPacket implements Network.
func (s System) ListenPacket(_ context.Context, address netip.AddrPort) (PacketConn, error) {
	// No address listens at all addresses of every family there is.
	var bind net.UDPAddr
	if address.Addr() != netip.IPv6Unspecified() {
		bind.IP = address.Addr().AsSlice()
	}
	bind.Zone, bind.Port = address.Addr().Zone(), int(address.Port())
	conn, err := net.ListenUDP("udp", &bind)
	if err != nil {
		return nil, err // not a nil pointer in an interface
	}
	return conn, nil
}
