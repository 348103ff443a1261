package fabric

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// room is how much may be under way in one direction of a connection before the
// writer has to wait, in bytes.
const room = 4 << 20

// conn is one end of a connection.
type conn struct {
	host          *Host
	local, remote net.Addr
	in, out       *half
	peer          *conn
}

var _ net.Conn = (*conn)(nil)

// half is one direction of a connection.
type half struct {
	fabric   *Fabric
	from, to *Host
	way      direction
	// back is the writer's end.
	back *conn

	mu     sync.Mutex
	queue  []segment
	bytes  int
	last   time.Time // when the last of the queue arrives
	err    error     // of both ends from now on
	closed bool      // by the reader
	fin    bool      // by the writer
	reader waiter
	writer waiter
}

// segment is what was written at once.
type segment struct {
	data []byte
	due  time.Time
	// stuck is set while the link is cut, or lets nothing of the size through.
	stuck bool
	fin   bool
}

// waiter is one side of a half that may have to wait.
type waiter struct {
	wake     chan struct{}
	deadline time.Time
}

func (w *waiter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func newHalf(f *Fabric, from, to *Host) *half {
	return &half{
		fabric: f, from: from, to: to, way: direction{from.addr, to.addr},
		reader: waiter{wake: make(chan struct{}, 1)}, writer: waiter{wake: make(chan struct{}, 1)},
	}
}

// pair makes a connection. The fabric's lock is held.
func (f *Fabric) pair(from, to *Host, local, remote netip.AddrPort) (*conn, *conn) {
	there, back := newHalf(f, from, to), newHalf(f, to, from)
	a := &conn{host: from, local: net.TCPAddrFromAddrPort(local), remote: net.TCPAddrFromAddrPort(remote), in: back, out: there}
	b := &conn{host: to, local: a.remote, remote: a.local, in: there, out: back, peer: a}
	a.peer, there.back, back.back = b, a, b
	from.conns[a], to.conns[b] = struct{}{}, struct{}{}
	f.conns[there], f.conns[back] = struct{}{}, struct{}{}
	return a, b
}

// arrival is when something sent now arrives, and whether it waits for the link to
// be whole. The fabric's lock is held, and the half's.
func (h *half) arrival(size int) (due time.Time, stuck bool) {
	link, cut := h.fabric.link(h.way)
	due = time.Now().Add(h.fabric.travel(link))
	if h.fabric.happens(link.Loss) {
		due = due.Add(Retransmit)
	}
	if due.Before(h.last) {
		due = h.last
	}
	stuck = cut || link.Largest > 0 && size > link.Largest
	if n := len(h.queue); n > 0 && h.queue[n-1].stuck {
		stuck = true
	}
	return due, stuck
}

func (h *half) push(s segment) {
	s.due, s.stuck = h.arrival(len(s.data))
	h.last = s.due
	h.queue = append(h.queue, s)
	h.bytes += len(s.data)
	h.reader.signal()
}

// release sends again what waited for the link. The fabric's lock is held.
func (h *half) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	queue := h.queue
	h.queue = nil
	h.last = time.Time{}
	// The sender tries now and then.
	again := time.Now().Add(time.Duration(h.fabric.rand.Int64N(int64(Retransmit))))
	for _, s := range queue {
		if s.stuck {
			if h.last.Before(again) {
				h.last = again
			}
			s.due, s.stuck = h.arrival(len(s.data))
		}
		h.last = s.due
		h.queue = append(h.queue, s)
	}
	h.reader.signal()
}

// fail ends both sides. The fabric's lock is held.
func (h *half) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = err
	}
	delete(h.fabric.conns, h)
	h.queue, h.bytes = nil, 0
	h.reader.signal()
	h.writer.signal()
}

// abort ends both ends of the connection. The fabric's lock is held.
func (c *conn) abort(err error) {
	c.in.fail(err)
	c.out.fail(err)
	delete(c.host.conns, c)
	delete(c.peer.host.conns, c.peer)
}

// vanish ends this end without a word to the other one, which finds out when it
// sends and somebody is there again, or by its probes. The fabric's lock is held.
func (c *conn) vanish() {
	for _, h := range []*half{c.in, c.out} {
		h.mu.Lock()
		h.closed, h.fin = h.closed || h == c.in, h.fin || h == c.out
		h.reader.signal()
		h.writer.signal()
		h.mu.Unlock()
	}
	time.AfterFunc(lastKeepAlive, func() { c.peer.reset(syscall.ETIMEDOUT) })
}

// reset is abort from outside.
func (c *conn) reset(err error) {
	c.host.fabric.mu.Lock()
	defer c.host.fabric.mu.Unlock()
	c.abort(err)
}

// tell lets the other end know, when the link allows it, that this one is gone.
// The fabric's lock is held.
func (c *conn) tell() {
	f := c.host.fabric
	link, cut := f.link(c.out.way)
	if cut || f.happens(link.Loss) {
		// Nobody sends it again.
		time.AfterFunc(lastKeepAlive, func() { c.peer.reset(syscall.ETIMEDOUT) })
		return
	}
	time.AfterFunc(f.travel(link), func() { c.peer.reset(syscall.ECONNRESET) })
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.opError("read", err)
}

func (h *half) read(b []byte) (int, error) {
	for {
		n, until, err := h.tryRead(b)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		h.reader.wait(until)
	}
}

// tryRead returns what has arrived; when nothing has, until when to wait, zero for
// until something changes.
func (h *half) tryRead(b []byte) (n int, until time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	deadline := h.reader.deadline
	switch {
	case h.closed:
		return 0, until, net.ErrClosed
	case h.err != nil:
		return 0, until, h.err
	case !deadline.IsZero() && !now.Before(deadline):
		return 0, until, os.ErrDeadlineExceeded
	}
	for n < len(b) && len(h.queue) > 0 {
		s := &h.queue[0]
		if s.stuck || s.due.After(now) {
			break
		}
		if s.fin {
			if n == 0 {
				return 0, until, io.EOF
			}
			break
		}
		copied := copy(b[n:], s.data)
		n += copied
		h.bytes -= copied
		if s.data = s.data[copied:]; len(s.data) == 0 {
			*s = segment{}
			h.queue = h.queue[1:]
		}
	}
	if n > 0 {
		h.writer.signal()
		return n, until, nil
	}
	until = deadline
	if len(h.queue) > 0 && !h.queue[0].stuck && (until.IsZero() || h.queue[0].due.Before(until)) {
		until = h.queue[0].due
	}
	return 0, until, nil
}

// wait waits for a signal, or until a time when there is one.
func (w *waiter) wait(until time.Time) {
	if until.IsZero() {
		<-w.wake
		return
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-w.wake:
	case <-timer.C:
	}
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	for {
		wait, err := c.tryWrite(b)
		if err != nil {
			return 0, c.opError("write", err)
		}
		if !wait {
			return len(b), nil
		}
		c.out.mu.Lock()
		until := c.out.writer.deadline
		c.out.mu.Unlock()
		c.out.writer.wait(until)
	}
}

func (c *conn) tryWrite(b []byte) (wait bool, err error) {
	h := c.out
	f := h.fabric
	f.mu.Lock()
	defer f.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.err != nil:
		return false, h.err
	case h.fin:
		return false, net.ErrClosed
	case !h.writer.deadline.IsZero() && !time.Now().Before(h.writer.deadline):
		return false, os.ErrDeadlineExceeded
	case h.bytes >= room:
		return true, nil
	}
	if h.closed || !h.to.alive() {
		c.unheard(f)
		return false, nil
	}
	h.push(segment{data: append([]byte(nil), b...)})
	return false, nil
}

// unheard is what becomes of bytes that nobody reads any more: the host, if there
// is one, says so.
func (c *conn) unheard(f *Fabric) {
	there, cutThere := f.link(c.out.way)
	back, cutBack := f.link(c.in.way)
	if cutThere || cutBack || f.hosts[c.out.to.addr] == nil {
		return
	}
	time.AfterFunc(f.travel(there)+f.travel(back), func() { c.reset(syscall.ECONNRESET) })
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.host.fabric.mu.Lock()
	defer c.host.fabric.mu.Unlock()
	return c.opError("close", c.close())
}

// close ends this end; the other one is told in its turn. The fabric's lock is
// held.
func (c *conn) close() error {
	f := c.host.fabric
	delete(c.host.conns, c)
	c.in.mu.Lock()
	if c.in.closed {
		c.in.mu.Unlock()
		return net.ErrClosed
	}
	unread := len(c.in.queue) > 0 && !c.in.queue[0].fin
	c.in.closed, c.in.queue, c.in.bytes = true, nil, 0
	delete(f.conns, c.in)
	c.in.reader.signal()
	c.in.writer.signal()
	c.in.mu.Unlock()
	if unread && c.out.alive() {
		// As TCP does: the other end shall not take it for received.
		c.tell()
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.err == nil && !c.out.closed && c.out.to.alive() {
		c.out.push(segment{fin: true})
	} else {
		delete(f.conns, c.out)
	}
	c.out.fin = true
	c.out.writer.signal()
	return nil
}

func (h *half) alive() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err == nil
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error { return c.in.setDeadline(&c.in.reader, t) }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.out.setDeadline(&c.out.writer, t) }

func (h *half) setDeadline(w *waiter, t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.deadline = t
	w.signal()
	return nil
}
