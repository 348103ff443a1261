package lab

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// thread runs functions on one operating system thread, which lives as long as
// it does. Namespaces belong to threads, and the kernel sends the parent-death
// signal when the thread that forked ends, not when the process does.
type thread struct {
	work chan func()
	stop chan struct{}
	done chan struct{}
	once sync.Once
}

func newThread() *thread {
	t := &thread{work: make(chan func()), stop: make(chan struct{}), done: make(chan struct{})}
	go t.begin()
	return t
}

func (t *thread) begin() {
	// A locked thread ends with its goroutine, and its namespaces with it.
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		t.loop()
		return
	}
	// The first thread of a process is what others take for the process, and it
	// does not end before it. While it is held here, another one is used.
	go t.begin()
	<-t.done
	runtime.UnlockOSThread()
}

func (t *thread) loop() {
	defer close(t.done)
	for {
		select {
		case f := <-t.work:
			f()
		case <-t.stop:
			return
		}
	}
}

// do runs a function on the thread and waits for it.
func (t *thread) do(f func() error) error {
	result := make(chan error, 1)
	select {
	case t.work <- func() { result <- f() }:
		return <-result
	case <-t.stop:
		return ErrClosed
	}
}

func (t *thread) close() {
	t.once.Do(func() { close(t.stop) })
	<-t.done
}
