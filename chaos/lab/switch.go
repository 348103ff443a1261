package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// mtu is the size of the largest packet of a host on a switch.
	mtu = 1500
	// waiting is how many packets of a host wait for the switch at the most, when
	// this process gets no time. The kernel's default is 500.
	waiting = 10000
	// maxBurst is how many packets of one host are forwarded in a row before it is
	// seen whether the switch shall end.
	maxBurst = 256
)

// crossbar is a switch in user space. Each host has a TUN device, a cable that
// carries IP packets without anything below; one goroutine a host forwards what
// it sends to whom it is for.
type crossbar struct {
	thread *thread
	home   netns.NsHandle
	seed   uint64

	courier *courier
	sockets [maxHosts + 1]atomic.Pointer[socket]
	readers sync.WaitGroup
}

var _ fabric = (*crossbar)(nil)

// socket is the switch's end of a host's cable.
type socket struct {
	// tun is where its packets are read, out where those for it are written: the
	// same, but in tests.
	tun  *os.File
	conn syscall.RawConn
	out  io.Writer
	// reading is held by who reads and forwards, with the buffer.
	reading sync.Mutex
	buffer  [mtu]byte
	// silent drops everything from and to it.
	silent atomic.Bool
	// to are the paths to other sockets, by the number of their host; made when
	// they are used first.
	to [maxHosts + 1]atomic.Pointer[path]
}

// path is one direction between two sockets.
type path struct {
	from, to *socket
	cut      atomic.Bool
	// shape is nil while packets pass at once. It is used by who reads.
	shape atomic.Pointer[shaper]
}

func newCrossbar(thread *thread, home netns.NsHandle, seed uint64) *crossbar {
	return &crossbar{thread: thread, home: home, seed: seed, courier: newCourier()}
}

func (c *crossbar) join(h *Host) error {
	tun, err := c.openTun(h)
	if err != nil {
		return err
	}
	conn, err := tun.SyscallConn()
	if err != nil {
		return errors.Join(err, tun.Close())
	}
	s := &socket{tun: tun, conn: conn, out: tun}
	c.sockets[h.number].Store(s)
	c.readers.Go(func() { c.forwardAll(s) })
	cable, err := h.kernel.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", device, err)
	}
	if err := errors.Join(h.kernel.LinkSetMTU(cable, mtu), h.kernel.LinkSetTxQLen(cable, waiting)); err != nil {
		return fmt.Errorf("set interface %s up: %w", device, err)
	}
	// All hosts are in one network: who has an address has a cable to all.
	return turnOn(h.kernel, device, h.Address, 16)
}

// openTun makes the host's interface, which is there as long as it is open.
func (c *crossbar) openTun(h *Host) (*os.File, error) {
	fd := -1
	err := c.thread.do(func() error {
		if err := netns.Set(h.namespace); err != nil {
			return fmt.Errorf("enter host %s: %w", h.Name, err)
		}
		var err error
		fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err == nil {
			err = nameTun(fd)
		}
		if err != nil {
			err = fmt.Errorf("%w: %w: packets in user space need /dev/net/tun and the rights of root", ErrUnable, err)
		}
		return errors.Join(err, netns.Set(c.home))
	})
	if err != nil {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		return nil, err
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

func nameTun(fd int) error {
	request, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	return os.NewSyscallError("TUNSETIFF", unix.IoctlIfreq(fd, unix.TUNSETIFF, request))
}

func (c *crossbar) plug(*Host) error { return nil }

// path returns the one of a direction.
func (c *crossbar) path(direction link) (*path, error) {
	from, to := c.sockets[direction.from.number].Load(), c.sockets[direction.to.number].Load()
	if from == nil || to == nil {
		return nil, ErrClosed
	}
	return from.path(direction.to.number, to), nil
}

func (s *socket) path(number int, to *socket) *path {
	if p := s.to[number].Load(); p != nil {
		return p
	}
	s.to[number].CompareAndSwap(nil, &path{from: s, to: to})
	return s.to[number].Load()
}

func (c *crossbar) cut(direction link) error {
	p, err := c.path(direction)
	if err == nil {
		p.cut.Store(true)
	}
	return err
}

func (c *crossbar) mend(direction link) error {
	p, err := c.path(direction)
	if err != nil {
		return err
	}
	c.drain(p.from)
	p.cut.Store(false)
	return nil
}

// shape lets packets of a direction travel as the link says; what is under way
// arrives as it would have.
func (c *crossbar) shape(direction link, how Link) error {
	p, err := c.path(direction)
	if err != nil {
		return err
	}
	if how == (Link{}) {
		p.shape.Store(nil)
		return nil
	}
	p.shape.Store(newShaper(how, c.seed, uint64(direction.from.number)<<32|uint64(direction.to.number)))
	return nil
}

func (c *crossbar) silence(h *Host) error { return c.setSilent(h, true) }

func (c *crossbar) restore(h *Host) error {
	for i := range c.sockets {
		if s := c.sockets[i].Load(); s != nil {
			c.drain(s)
		}
	}
	return c.setSilent(h, false)
}

func (c *crossbar) setSilent(h *Host, silent bool) error {
	s := c.sockets[h.number].Load()
	if s == nil {
		return ErrClosed
	}
	s.silent.Store(silent)
	return nil
}

// forwardAll forwards what a host sends until its cable is closed.
func (c *crossbar) forwardAll(s *socket) {
	burst := func(fd uintptr) bool { return c.burst(s, int(fd), maxBurst) }
	for s.conn.Read(burst) == nil {
	}
}

// drain forwards what a host has sent until now: what was sent into a cut must
// not arrive when it is healed.
func (c *crossbar) drain(s *socket) {
	// A cable that is closed carries nothing more.
	_ = s.conn.Control(func(fd uintptr) { c.burst(s, int(fd), waiting) })
}

// burst forwards so many packets at the most, and tells whether there may be
// more.
func (c *crossbar) burst(s *socket, fd, limit int) bool {
	s.reading.Lock()
	defer s.reading.Unlock()
	for range limit {
		n, err := unix.Read(fd, s.buffer[:])
		switch {
		case err == nil:
			c.forward(s, s.buffer[:n])
		case !errors.Is(err, unix.EINTR):
			// There is nothing, or the interface is off.
			return false
		}
	}
	return true
}

// forward sends a packet on its way.
func (c *crossbar) forward(from *socket, packet []byte) {
	number, ok := receiver(packet)
	if !ok {
		return
	}
	to := c.sockets[number].Load()
	if to == nil {
		return
	}
	p := from.path(number, to)
	shape := p.shape.Load()
	if shape == nil {
		p.deliver(packet)
		return
	}
	if p.closed() {
		return
	}
	at, copies := shape.decide(time.Now(), len(packet))
	for range copies {
		c.courier.send(p, at, packet)
	}
}

// receiver returns the number of the host that a packet is for.
func receiver(packet []byte) (int, bool) {
	const version4, header = 4, 20
	if len(packet) < header || packet[0]>>4 != version4 {
		return 0, false
	}
	address := binary.BigEndian.Uint32(packet[16:20])
	number := int(address >> 8 & 0xff)
	return number, address&^0xff00 == 10<<24|99<<16|2 && number <= maxHosts
}

func (p *path) closed() bool { return p.cut.Load() || p.from.silent.Load() || p.to.silent.Load() }

// deliver hands a packet to the host at the end of the path, unless it was cut
// meanwhile.
func (p *path) deliver(packet []byte) {
	if p.closed() {
		return
	}
	// One that the host does not take is lost, as on any network.
	_, _ = p.to.out.Write(packet)
}

func (c *crossbar) close() error {
	var errs []error
	for i := range c.sockets {
		if s := c.sockets[i].Load(); s != nil {
			errs = append(errs, s.tun.Close())
		}
	}
	c.readers.Wait()
	c.courier.close()
	return errors.Join(errs...)
}
