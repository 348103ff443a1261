package control

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inputBytes is the capacity asked for of the pipe to the workload: an SDK that
// reads without waiting takes a message that does not fit in for a broken one.
const inputBytes = 256 << 10

// What is looked for at first, and then ever less often, while one message waits
// until the one before it was read: nothing tells when a pipe is empty.
const (
	minLook = time.Millisecond
	maxLook = 250 * time.Millisecond
)

// send writes what waits until the context ends.
func (i *Interface) send(ctx context.Context) {
	for ctx.Err() == nil {
		switch {
		case i.in.file == nil || i.in.suspect.Swap(false) && !i.folder.same(inputPipe, i.in.file):
			i.reopenInput(ctx)
		case !readersGone(i.in.file):
			i.hadReader, i.waitEnd = true, time.Time{}
			i.write(ctx)
		case i.hadReader:
			i.emptyInput()
		default:
			i.awaitReader(ctx)
		}
	}
}

// write writes once, or waits until that is possible, all readers have gone, there
// is something to write, or nothing was read for too long.
func (i *Interface) write(ctx context.Context) {
	switch full := i.queue.full(); {
	case !full:
		i.stallAt = time.Time{}
	case i.stallAt.IsZero():
		i.stallAt = time.Now().Add(i.cfg.StallTimeout)
	case !time.Now().Before(i.stallAt):
		i.stalled()
		i.stallAt = time.Time{}
	}
	i.in.waitUntil(i.nextLook())
	ready := func(fd uintptr) bool {
		return ctx.Err() != nil || i.in.suspect.Load() || broken(int(fd)) || i.tryWrite(int(fd))
	}
	if err := i.in.use(func(raw syscall.RawConn) error { return raw.Write(ready) }); err != nil {
		i.complain("pipe of a control interface cannot be waited for; it is opened again", "error", err)
		pause(ctx, retryPause)
		i.in.set(nil)
	}
}

// nextLook is when writing has to be tried again, whatever the kernel says: a
// message waits for about as long again as the workload took so far.
func (i *Interface) nextLook() time.Time {
	if i.unreadSince.IsZero() {
		return i.stallAt
	}
	look := time.Now().Add(min(max(time.Since(i.unreadSince), minLook), maxLook))
	if i.stallAt.IsZero() || look.Before(i.stallAt) {
		return look
	}
	return i.stallAt
}

// tryWrite tells whether there was something to write, and room for it, or whether
// to look again later. A message is begun only when the one before it was read: an
// SDK reads all there is, takes one message of it, and does not look at the rest
// until there is more.
func (i *Interface) tryWrite(fd int) bool {
	if !i.queue.begun() && !i.queue.empty() && unread(fd) {
		if i.unreadSince.IsZero() {
			i.unreadSince = time.Now()
			return true
		}
		return false
	}
	i.unreadSince = time.Time{}
	data, ok := i.queue.take()
	if !ok {
		return false
	}
	n, err := unix.Write(fd, data)
	if err == nil {
		i.stallAt = time.Time{}
		i.queue.wrote(n)
	}
	return err != unix.EAGAIN // EPIPE is seen as broken the next time
}

// awaitReader waits until somebody may have opened the pipe for reading. What
// waits for that too long is dropped.
func (i *Interface) awaitReader(ctx context.Context) {
	var late <-chan time.Time
	switch {
	case i.queue.empty():
		i.waitEnd = time.Time{}
	case i.waitEnd.IsZero():
		i.waitEnd = time.Now().Add(i.cfg.ReaderTimeout)
	case !time.Now().Before(i.waitEnd):
		i.logger.Info("workload has not opened its pipe; what waited for it was dropped", "after", i.cfg.ReaderTimeout)
		i.cancelSubscriptions(fmt.Errorf("%w: nobody has the pipe open", ErrNotRead))
		i.queue.drop(nil)
		i.waitEnd = time.Time{}
	}
	if !i.waitEnd.IsZero() {
		timer := time.NewTimer(time.Until(i.waitEnd))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-i.in.kick:
	case <-late:
	case <-ctx.Done():
	}
}

// stalled ends subscriptions, the oldest first, until there is room.
func (i *Interface) stalled() {
	for {
		s := i.requests.take(func(*request) bool { return true })
		if s == nil {
			return
		}
		i.complain("workload does not read; a subscription was ended", "request", short(s.id, 64))
		s.end(fmt.Errorf("%w for %v", ErrNotRead, i.cfg.StallTimeout), func() {
			i.queue.drop(s)
			i.answerError(s.id, fmt.Sprintf("ended: %v for %v", ErrNotRead, i.cfg.StallTimeout))
		})
		if !i.queue.full() {
			return
		}
	}
}

// openInput opens the pipe that the workload reads from, for writing alone. That
// is refused while nobody reads, so for a moment the agent reads itself.
func (i *Interface) openInput() error {
	pipes, err := i.openFolder()
	if err != nil {
		return err
	}
	defer pipes.Close()
	both, err := i.folder.openPipe(pipes, inputPipe, unix.O_RDWR)
	if err != nil {
		return err
	}
	defer both.Close()
	file, err := i.folder.openPipe(pipes, inputPipe, unix.O_WRONLY)
	if err != nil {
		return err
	}
	enlarge(file)
	i.in.set(file)
	i.hadReader = false
	i.queue.again()
	return nil
}

// emptyInput throws away what the reader that has left has not read. The agent's end
// stays open meanwhile: who opens the pipe now must not take it for ended.
func (i *Interface) emptyInput() {
	pipes, err := i.folder.openPipes()
	if err != nil {
		i.in.set(nil) // opened anew, with the error if it stays
		return
	}
	defer pipes.Close()
	reader, err := i.folder.openPipe(pipes, inputPipe, unix.O_RDONLY)
	if err != nil {
		i.in.set(nil)
		return
	}
	defer reader.Close()
	if raw, err := reader.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { drain(int(fd)) })
	}
	i.hadReader = false
	i.queue.again()
	i.say(slog.LevelDebug, "workload closed its pipe; what it had not read was thrown away")
}

// drain reads what is in a pipe, and no more than fits in.
func drain(fd int) {
	chunk := chunks.Get().(*[64 << 10]byte)
	defer chunks.Put(chunk)
	for range inputBytes/len(chunk) + 1 {
		if n, err := readPipe(fd, chunk[:]); n == 0 || err != nil {
			return
		}
	}
}

// enlarge asks for more capacity; a user's pipes may not have any more.
func enlarge(pipe *os.File) {
	if raw, err := pipe.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, inputBytes) })
	}
}

func (i *Interface) reopenInput(ctx context.Context) {
	i.in.set(nil)
	if !pause(ctx, reopenPause-time.Since(i.inputOpened)) {
		return
	}
	i.inputOpened = time.Now()
	if err := i.openInput(); err != nil {
		i.complain("pipe of a control interface could not be opened; it is tried again", "error", err)
		pause(ctx, retryPause)
	}
}

// readersGone tells whether nobody has the pipe open for reading.
func readersGone(file *os.File) (gone bool) {
	raw, err := file.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) { gone = broken(int(fd)) })
	return gone || err != nil
}

// unread tells whether something is in a pipe.
func unread(fd int) bool {
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	return err == nil && n > 0
}

func broken(fd int) bool { return polled(fd, unix.POLLOUT)&unix.POLLERR != 0 }
