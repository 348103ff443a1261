package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/argosy-cluster/argosy/network"
)

const (
	// bindAttempts is how often a free port is drawn before giving up: the one
	// that is free for TCP may be taken for UDP.
	bindAttempts = 16
	// dialLimit bounds connecting to a member, which on a LAN takes milliseconds
	// or fails; the rest of memberlist's time-outs is for talking.
	dialLimit = 2 * time.Second
	// packetSize is the largest datagram there is.
	packetSize = 64 << 10
	// socketBuffer is asked of the kernel for bursts of packets.
	socketBuffer = 1 << 20
)

// transport carries memberlist's packets and streams. It differs from the one
// that memberlist brings in two ways: a received packet costs the memory that it
// fills, not 64 KiB, and Shutdown ends every connection, so that no goroutine
// outlives it by more than a moment.
type transport struct {
	network   network.Streams
	tcp       net.Listener
	udp       network.PacketConn
	bound     netip.AddrPort
	advertise netip.AddrPort
	log       *slog.Logger

	packets chan *memberlist.Packet
	streams chan net.Conn

	stopped context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	lock  sync.Mutex
	conns map[*trackedConn]struct{}
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

// listen binds TCP and UDP to the same port.
func listen(ctx context.Context, on network.Network, bind netip.AddrPort, log *slog.Logger) (*transport, error) {
	tcp, udp, bound, err := listenBoth(ctx, on, bind)
	if err != nil {
		return nil, err
	}
	// As much as the kernel gives: losing packets of a burst costs time only.
	_ = udp.SetReadBuffer(socketBuffer)
	t := &transport{
		network: on,
		tcp:     tcp,
		udp:     udp,
		bound:   bound,
		log:     log,
		packets: make(chan *memberlist.Packet),
		streams: make(chan net.Conn),
		conns:   map[*trackedConn]struct{}{},
	}
	t.stopped, t.stop = context.WithCancel(context.Background())
	return t, nil
}

func listenBoth(ctx context.Context, on network.Network, bind netip.AddrPort) (net.Listener, network.PacketConn, netip.AddrPort, error) {
	for attempt := 1; ; attempt++ {
		tcp, err := on.Listen(ctx, bind.String())
		if err != nil {
			return nil, nil, netip.AddrPort{}, fmt.Errorf("listen for gossip at TCP %s: %w: is another process using it? choose another --gossip-address", bind, err)
		}
		bound, err := netip.ParseAddrPort(tcp.Addr().String())
		if err != nil {
			return nil, nil, netip.AddrPort{}, errors.Join(fmt.Errorf("listen for gossip at TCP %s: %w", bind, err), tcp.Close())
		}
		udp, err := on.ListenPacket(ctx, netip.AddrPortFrom(bind.Addr(), bound.Port()))
		if err == nil {
			return tcp, udp, netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port()), nil
		}
		tcp.Close()
		if bind.Port() != 0 || attempt == bindAttempts {
			return nil, nil, netip.AddrPort{}, fmt.Errorf("listen for gossip at UDP %s: %w: is another process using it? choose another --gossip-address", bind, err)
		}
	}
}

// address returns where it listens.
func (t *transport) address() netip.AddrPort { return t.bound }

// start begins to receive. advertise is what the others are told.
func (t *transport) start(advertise netip.AddrPort) {
	t.advertise = advertise
	t.running.Go(t.accept)
	t.running.Go(t.receive)
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.advertise.Addr().AsSlice(), int(t.advertise.Port()), nil
}

// PacketCh implements memberlist.Transport.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// WriteTo implements memberlist.Transport.
func (t *transport) WriteTo(packet []byte, address string) (time.Time, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return time.Time{}, fmt.Errorf("send packet: %w", err)
	}
	_, err = t.udp.WriteToUDPAddrPort(packet, to)
	return time.Now(), err
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *transport) WriteToAddress(packet []byte, address memberlist.Address) (time.Time, error) {
	return t.WriteTo(packet, address.Addr)
}

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.stopped, min(timeout, dialLimit))
	defer cancel()
	conn, err := t.network.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return t.track(conn)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *transport) DialAddressTimeout(address memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(address.Addr, timeout)
}

// Shutdown implements memberlist.Transport. It returns when nothing is received
// any more.
func (t *transport) Shutdown() error {
	t.stop()
	err := errors.Join(t.tcp.Close(), t.udp.Close())
	t.lock.Lock()
	conns := t.conns
	t.conns = nil
	t.lock.Unlock()
	for conn := range conns {
		conn.Conn.Close()
	}
	t.running.Wait()
	return err
}

func (t *transport) accept() {
	delay := time.Duration(0)
	for {
		conn, err := t.tcp.Accept()
		if err != nil {
			// Most likely out of file descriptors, which passes.
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			if !t.pause(delay) {
				return
			}
			t.log.Warn("accepting a gossip connection failed", "err", err)
			continue
		}
		delay = 0
		tracked, err := t.track(conn)
		if err != nil {
			return
		}
		select {
		case t.streams <- tracked:
		case <-t.stopped.Done():
			return
		}
	}
}

func (t *transport) receive() {
	buffer := make([]byte, packetSize)
	for {
		n, from, err := t.udp.ReadFromUDPAddrPort(buffer)
		received := time.Now()
		if err != nil {
			if !t.pause(5 * time.Millisecond) {
				return
			}
			t.log.Warn("receiving a gossip packet failed", "err", err)
			continue
		}
		if n == 0 {
			continue
		}
		packet := &memberlist.Packet{
			// memberlist keeps the bytes until it has handled them.
			Buf:       append([]byte(nil), buffer[:n]...),
			From:      net.UDPAddrFromAddrPort(netip.AddrPortFrom(from.Addr().Unmap(), from.Port())),
			Timestamp: received,
		}
		select {
		case t.packets <- packet:
		case <-t.stopped.Done():
			return
		}
	}
}

// pause waits, and returns false when the transport was shut down.
func (t *transport) pause(delay time.Duration) bool {
	select {
	case <-time.After(delay):
		return true
	case <-t.stopped.Done():
		return false
	}
}

// track notes a connection so that Shutdown can end it.
func (t *transport) track(conn net.Conn) (*trackedConn, error) {
	tracked := &trackedConn{Conn: conn, transport: t}
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.conns == nil {
		conn.Close()
		return nil, net.ErrClosed
	}
	t.conns[tracked] = struct{}{}
	return tracked, nil
}

type trackedConn struct {
	net.Conn
	transport *transport
}

func (c *trackedConn) Close() error {
	c.transport.lock.Lock()
	delete(c.transport.conns, c)
	c.transport.lock.Unlock()
	return c.Conn.Close()
}
