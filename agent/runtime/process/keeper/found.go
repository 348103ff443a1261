package keeper

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// foundWatch tells the end of processes that are not our children. One epoll
// set, itself watched by Go's own, takes one goroutine for all of them.
type foundWatch struct {
	ended chan *entry
	epoll *os.File
	fd    int

	mu      sync.Mutex
	entries map[int32]*entry // by pidfd
}

func newFoundWatch() (*foundWatch, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("open epoll: %w", err)
	}
	return &foundWatch{
		ended: make(chan *entry), epoll: os.NewFile(uintptr(fd), "epoll"), fd: fd,
		entries: make(map[int32]*entry),
	}, nil
}

// add watches the process of an entry. It returns false when it is not there any
// more.
func (w *foundWatch) add(e *entry, alive func() bool) (bool, error) {
	fd, err := unix.PidfdOpen(e.row.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open pidfd of %d: %w", e.row.PID, err)
	}
	// The number may have changed hands before the descriptor held it fast.
	if !alive() {
		return false, unix.Close(fd)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entries[int32(fd)] = e
	err = unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	if err != nil {
		delete(w.entries, int32(fd))
		return false, errors.Join(fmt.Errorf("watch pidfd of %d: %w", e.row.PID, err), unix.Close(fd))
	}
	return true, nil
}

// run sends ended entries until stop is closed and close was called.
func (w *foundWatch) run(stop <-chan struct{}) {
	connection, err := w.epoll.SyscallConn()
	if err != nil {
		return
	}
	events := make([]unix.EpollEvent, 64)
	for {
		var n int
		err := connection.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events, 0)
			return n > 0
		})
		if err != nil {
			return
		}
		for _, event := range events[:n] {
			w.mu.Lock()
			e := w.entries[event.Fd]
			delete(w.entries, event.Fd)
			w.mu.Unlock()
			_ = unix.Close(int(event.Fd))
			select {
			case w.ended <- e:
			case <-stop:
				return
			}
		}
	}
}

func (w *foundWatch) close() {
	_ = w.epoll.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for fd := range w.entries {
		_ = unix.Close(int(fd))
	}
	clear(w.entries)
}
