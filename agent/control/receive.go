package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/proto/ankaios"
)

const (
	// penaltyEach is what every message costs a workload that is no proper
	// request: it bounds what a flood of them costs the agent, and delays
	// nobody who makes a mistake.
	penaltyEach = time.Millisecond
	// penaltyPaid is the time from which on it is waited for.
	penaltyPaid = 10 * time.Millisecond
	// reopenPause is the time between two openings of a pipe, likewise.
	reopenPause = 10 * time.Millisecond
	// retryPause is the time after which something is tried again that failed
	// on the agent's side.
	retryPause = time.Second
)

// session is what is known of the stream that comes in.
type session struct {
	splitter splitter
	// accepted: a Hello was.
	accepted bool
	// inherited: it was by a former agent, and no message has come since.
	inherited bool
	// lost: the stream cannot be followed.
	lost bool
	// begun: something has come since the pipe was opened.
	begun bool
	// asked: it is known whether somebody wrote when the agent started.
	asked    bool
	lastData time.Time
	opened   time.Time
}

// chunks are what is read at once: the capacity of a pipe. None is held at rest.
var chunks = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// receive reads what the workload writes until the context ends.
func (i *Interface) receive(ctx context.Context) {
	for ctx.Err() == nil {
		if i.out.file == nil || i.out.suspect.Swap(false) && !i.folder.same(outputPipe, i.out.file) {
			i.cut("the pipe was replaced")
			i.reopenOutput(ctx)
			continue
		}
		chunk, n, ended := i.read(ctx)
		if n > 0 {
			i.take(ctx, chunk[:n])
		}
		if chunk != nil {
			chunks.Put(chunk)
		}
		if ended {
			i.cut("the pipe was closed within a message")
			i.reopenOutput(ctx)
		}
		i.payPenalty(ctx)
	}
}

// read waits for something to come, or for the end of the pipe, or to be woken.
func (i *Interface) read(ctx context.Context) (chunk *[64 << 10]byte, n int, ended bool) {
	s := &i.stream
	var deadline time.Time
	if s.splitter.half() {
		if deadline = s.lastData.Add(i.cfg.HalfMessageTimeout); time.Now().After(deadline) {
			i.lose(textUndecodable, fmt.Errorf("%w: half a message and nothing more for %v", errLost, i.cfg.HalfMessageTimeout))
			deadline = time.Time{}
		}
	}
	i.out.waitUntil(deadline)
	ready := func(fd uintptr) bool {
		if ctx.Err() != nil || i.out.suspect.Load() {
			return true
		}
		chunk, n, ended = i.tryRead(int(fd))
		return n > 0 || ended
	}
	if err := i.out.use(func(raw syscall.RawConn) error { return raw.Read(ready) }); err != nil {
		i.complain("pipe of a control interface cannot be waited for; it is opened again", "error", err)
		pause(ctx, retryPause)
		ended = true
	}
	return chunk, n, ended
}

// tryRead reads what there is. Nothing, and not the end, means to wait.
func (i *Interface) tryRead(fd int) (chunk *[64 << 10]byte, n int, ended bool) {
	chunk = chunks.Get().(*[64 << 10]byte)
	n, err := readPipe(fd, chunk[:])
	if n > 0 {
		return chunk, n, false
	}
	chunks.Put(chunk)
	i.ask(err == nil)
	if err != nil {
		return nil, 0, !errors.Is(err, unix.EAGAIN)
	}
	// Nobody has it open for writing: any more, or yet.
	return nil, 0, i.stream.begun || polled(fd, unix.POLLIN)&unix.POLLHUP != 0
}

// ask takes the answer to the first reading: a session of before goes on only with
// somebody who writes.
func (i *Interface) ask(nobodyWrites bool) {
	if !i.stream.asked && nobodyWrites && i.stream.accepted {
		i.setSession(false)
	}
	i.stream.asked = true
}

func readPipe(fd int, data []byte) (int, error) {
	for {
		n, err := unix.Read(fd, data)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// polled tells the state of a pipe.
func polled(fd int, events int16) int16 {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		if _, err := unix.Poll(fds, 0); err != unix.EINTR {
			return fds[0].Revents
		}
	}
}

// take takes what has come.
func (i *Interface) take(ctx context.Context, data []byte) {
	s := &i.stream
	s.asked, s.begun, s.lastData = true, true, time.Now()
	if s.lost {
		from, ok := findHello(data)
		if !ok {
			i.penalty += penaltyPaid
			return
		}
		s.lost, data = false, from
	} else if s.splitter.half() && beginsWithHello(data) {
		// No message goes on like that: the pipe was closed and opened again too
		// soon for the agent to see.
		s.splitter.reset()
	}
	s.splitter.add(data)
	var hello *ankaios.Hello
	for ctx.Err() == nil {
		message, ok, err := s.splitter.next()
		if hello != nil && !(ok && isHello(message)) {
			// Of several that come together, as from an SDK that kept those it
			// could not send, one is answered: more than one puzzles it.
			i.hello(hello)
			hello = nil
		}
		if err != nil {
			i.lose(textOfLoss(err), err)
			return
		}
		if !ok {
			break
		}
		if h := i.message(ctx, message); h != nil {
			hello = h
		}
		if s.lost {
			return
		}
		i.payPenalty(ctx)
	}
	s.splitter.rest()
}

// message takes one message. A Hello is returned.
func (i *Interface) message(ctx context.Context, data []byte) *ankaios.Hello {
	s := &i.stream
	inherited := s.inherited
	s.inherited = false
	message, cost, err := decode(data, i.cfg.MaxElements)
	switch {
	case err != nil && inherited:
		i.lose(textUndecodable, fmt.Errorf("%w: the former agent ended within a message: %w", errLost, err))
	case err != nil:
		i.undecodable(data, err)
	case message.GetHello() != nil:
		i.penalty += penaltyEach
		return message.GetHello()
	case !s.accepted:
		i.closed(textHelloMissing)
	default:
		i.begin(ctx, message.GetRequest(), cost)
	}
	return nil
}

// undecodable answers a message that cannot be decoded; the next one can.
func (i *Interface) undecodable(data []byte, err error) {
	i.penalty += penaltyEach
	i.complain("message of a workload could not be decoded", "bytes", len(data), "error", err)
	if !i.stream.accepted {
		i.closed(textUndecodable)
	} else if id := requestID(data); id != "" {
		i.answerError(id, textUndecodable)
	}
}

// hello begins a session, anew when there is one. What waits to be read is of the
// former one: SDKs give up when the first message is a ConnectionClosed.
func (i *Interface) hello(hello *ankaios.Hello) {
	version := hello.GetProtocolVersion()
	i.cancelSubscriptions(ErrCancelled)
	i.queue.drop(nil)
	if major, _, _ := strings.Cut(version, "."); major != "1" {
		i.complain("workload speaks a protocol version that is not supported", "version", short(version, 64))
		i.closed(textUnsupported(version))
		return
	}
	i.setSession(true)
	i.say(slog.LevelInfo, "workload began a session on its control interface", "version", short(version, 64))
	i.tell(&ankaios.FromAnkaios{FromAnkaiosEnum: &ankaios.FromAnkaios_ControlInterfaceAccepted{
		ControlInterfaceAccepted: &ankaios.ControlInterfaceAccepted{}}})
}

// closed ends the session and says why.
func (i *Interface) closed(reason string) {
	i.penalty += penaltyEach
	i.setSession(false)
	i.cancelSubscriptions(ErrCancelled)
	i.tell(&ankaios.FromAnkaios{FromAnkaiosEnum: &ankaios.FromAnkaios_ConnectionClosed{
		ConnectionClosed: &ankaios.ConnectionClosed{Reason: reason}}})
}

func (i *Interface) setSession(accepted bool) {
	i.stream.accepted, i.stream.inherited = accepted, false
	if err := i.folder.noteSession(accepted); err != nil {
		i.complain("session of a workload could not be noted; after a restart of the agent it has to say Hello", "error", err)
	}
}

// lose gives the stream up until a Hello comes by itself or the pipe is opened anew.
func (i *Interface) lose(reason string, err error) {
	i.stream.splitter.reset()
	i.stream.lost = true
	i.complain("workload's messages cannot be followed; its connection was closed", "error", err)
	i.closed(reason)
}

// cut takes the end of the pipe.
func (i *Interface) cut(reason string) {
	if i.stream.splitter.half() {
		i.lose(textUndecodable, fmt.Errorf("%w: %s", errLost, reason))
	}
	i.stream.lost = false
}

// textOfLoss is what the workload is told.
func textOfLoss(err error) string {
	if errors.Is(err, errTooBig) {
		return err.Error()
	}
	return textUndecodable
}

// payPenalty waits when a workload has sent too much that was of no use.
func (i *Interface) payPenalty(ctx context.Context) {
	if i.penalty >= penaltyPaid {
		pause(ctx, min(i.penalty, time.Second))
		i.penalty = 0
	}
}

// openOutput opens the pipe that the workload writes to. The new end is open before
// the old one is closed: a workload that writes always finds somebody.
func (i *Interface) openOutput() error {
	pipes, err := i.openFolder()
	if err != nil {
		return err
	}
	defer pipes.Close()
	file, err := i.folder.openPipe(pipes, outputPipe, unix.O_RDONLY)
	if err != nil {
		return err
	}
	i.out.set(file)
	i.stream.begun, i.stream.opened = false, time.Now()
	return nil
}

// reopenOutput tries once, not too soon after the last time.
func (i *Interface) reopenOutput(ctx context.Context) {
	if !pause(ctx, reopenPause-time.Since(i.stream.opened)) {
		return
	}
	if err := i.openOutput(); err != nil {
		i.complain("pipe of a control interface could not be opened; it is tried again", "error", err)
		i.out.set(nil)
		pause(ctx, retryPause)
	}
}
