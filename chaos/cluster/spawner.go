package cluster

import (
	"os/exec"
	"runtime"
	"sync"
)

// spawner starts all processes from one thread that lives as long as it does.
// The kernel sends the parent-death signal when the thread that forked ends, not
// when the process does, and Go ends threads as it likes.
type spawner struct {
	requests chan spawnRequest
	once     sync.Once
	done     chan struct{}
}

type spawnRequest struct {
	cmd    *exec.Cmd
	result chan error
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan spawnRequest), done: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for {
			select {
			case request := <-s.requests:
				request.result <- request.cmd.Start()
			case <-s.done:
				return
			}
		}
	}()
	return s
}

func (s *spawner) start(cmd *exec.Cmd) error {
	request := spawnRequest{cmd, make(chan error, 1)}
	select {
	case s.requests <- request:
		return <-request.result
	case <-s.done:
		return ErrNotRunning
	}
}

func (s *spawner) close() { s.once.Do(func() { close(s.done) }) }
