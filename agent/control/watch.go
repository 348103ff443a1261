package control

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/agent/runfolder"
)

// watchEvents: who opens a pipe, and what becomes of the pipes and their folder.
const watchEvents = unix.IN_OPEN | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO |
	unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// watchPause keeps a workload that opens and removes files for ever from costing
// more than this many looks: 200 a second for all interfaces together.
const watchPause = 5 * time.Millisecond

// watcher tells interfaces what happens in the folders of their pipes.
type watcher struct {
	file *os.File

	mu      sync.Mutex
	watched map[int]*Interface
}

func newWatcher() (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch control interfaces: open inotify: %w; raise fs.inotify.max_user_instances if they are used up", err)
	}
	return &watcher{file: os.NewFile(uintptr(fd), "inotify"), watched: make(map[int]*Interface)}, nil
}

// add watches an open folder for an interface; adding it again changes nothing.
func (w *watcher) add(folder *os.File, i *Interface) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	conn, err := w.file.SyscallConn()
	if err == nil {
		controlErr := conn.Control(func(fd uintptr) {
			var number int
			if number, err = unix.InotifyAddWatch(int(fd), runfolder.Self(folder), watchEvents); err == nil {
				w.watched[number] = i
			}
		})
		err = errors.Join(err, controlErr)
	}
	if err != nil {
		return fmt.Errorf("watch control interface: %w; raise fs.inotify.max_user_watches if they are used up", err)
	}
	return nil
}

// drop ends the watching for an interface.
func (w *watcher) drop(i *Interface) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for number, other := range w.watched {
		if other != i {
			continue
		}
		delete(w.watched, number)
		if conn, err := w.file.SyscallConn(); err == nil {
			_ = conn.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(number)) })
		}
	}
}

func (w *watcher) close() { _ = w.file.Close() }

// run tells what happens until the context ends.
func (w *watcher) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = w.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	events := make([]byte, 16<<10)
	for {
		n, err := w.file.Read(events)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch control interfaces: %w", err)
		}
		w.emit(events[:n])
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPause):
		}
	}
}

// emit reads events as the kernel lays them out.
func (w *watcher) emit(events []byte) {
	for len(events) >= unix.SizeofInotifyEvent {
		number := int(int32(binary.NativeEndian.Uint32(events)))
		mask := binary.NativeEndian.Uint32(events[4:])
		length := int(binary.NativeEndian.Uint32(events[12:]))
		end := min(unix.SizeofInotifyEvent+length, len(events))
		name := string(bytes.TrimRight(events[unix.SizeofInotifyEvent:end], "\x00"))
		for _, i := range w.concerned(number, mask) {
			i.event(mask, name)
		}
		events = events[end:]
	}
}

// concerned returns whose folder it was: everybody's when events were lost.
func (w *watcher) concerned(number int, mask uint32) []*Interface {
	w.mu.Lock()
	defer w.mu.Unlock()
	if mask&unix.IN_Q_OVERFLOW != 0 {
		return slices.Collect(maps.Values(w.watched))
	}
	i := w.watched[number]
	if mask&unix.IN_IGNORED != 0 {
		delete(w.watched, number)
	}
	if i == nil {
		return nil
	}
	return []*Interface{i}
}
