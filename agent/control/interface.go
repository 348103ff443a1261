package control

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Interface is the control interface of one instance: one goroutine reads, one
// writes, and each request has its own.
type Interface struct {
	instance *argosyv1.InstanceName
	cfg      Config
	folder   folder
	watcher  *watcher
	logger   *slog.Logger

	in, out  end
	queue    queue
	requests requests
	slots    *semaphore.Weighted
	weight   int64

	complaints complaints

	// Of the goroutine that reads.
	stream  session
	penalty time.Duration // owed by the workload

	// Of the goroutine that writes.
	hadReader   bool
	unreadSince time.Time // since when a message waits for the one before it to be read; zero: none does
	stallAt     time.Time // zero: something was read, or the queue is not full
	waitEnd     time.Time // when those that wait for a reader are dropped; zero: none wait
	inputOpened time.Time

	stop context.CancelCauseFunc
	done sync.WaitGroup
}

func newInterface(cfg Config, instance *argosyv1.InstanceName, place folder) *Interface {
	i := &Interface{
		instance: instance, cfg: cfg, folder: place,
		logger: cfg.Logger.With("instance", instance.Key()),
		in:     newEnd(), out: newEnd(),
		queue:  queue{maxMessages: cfg.MaxQueueMessages, maxBytes: cfg.MaxQueueBytes},
		weight: int64(max(cfg.MaxMessageBytes, cfg.MaxRequests)),
	}
	i.slots = semaphore.NewWeighted(i.weight)
	i.stream.splitter.max = cfg.MaxMessageBytes
	return i
}

// event takes what happened in the folder of the pipes.
func (i *Interface) event(mask uint32, name string) {
	gone := mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_Q_OVERFLOW) != 0
	if name == inputPipe && mask&unix.IN_OPEN != 0 {
		i.in.wake()
	} else if name == inputPipe || gone {
		i.in.check()
	}
	if name == outputPipe && mask&unix.IN_OPEN == 0 || gone {
		i.out.check()
	}
}

// start opens the pipes and begins to serve them until the context ends.
func (i *Interface) start(ctx context.Context, watcher *watcher) error {
	i.watcher = watcher
	if err := i.open(); err != nil {
		i.in.set(nil)
		watcher.drop(i)
		return err
	}
	i.serve(ctx)
	return nil
}

// takeUp is start for an interface whose workload may be there already: what cannot
// be opened now is tried again for as long as the context goes on. Until both pipes
// are open nothing is served: who found one of them would take the other for ended.
func (i *Interface) takeUp(ctx context.Context, watcher *watcher) {
	i.watcher = watcher
	err := i.open()
	if err == nil {
		i.serve(ctx)
		return
	}
	ctx, i.stop = context.WithCancelCause(ctx)
	i.done.Go(func() {
		for err != nil {
			i.complain("control interface could not be opened; it is tried again", "error", err)
			if !pause(ctx, retryPause) {
				return
			}
			err = i.open()
		}
		i.work(ctx)
	})
}

// open opens both pipes.
func (i *Interface) open() error {
	if err := i.openInput(); err != nil {
		return err
	}
	return i.openOutput() // last: who can open it has a pipe to read from
}

// openFolder opens the folder of the pipes, which is watched from then on.
func (i *Interface) openFolder() (*os.File, error) {
	pipes, err := i.folder.openPipes()
	if err != nil {
		return nil, err
	}
	if err := i.watcher.add(pipes, i); err != nil {
		return nil, errors.Join(err, pipes.Close())
	}
	return pipes, nil
}

// serve serves the pipes until the context ends.
func (i *Interface) serve(ctx context.Context) {
	ctx, i.stop = context.WithCancelCause(ctx)
	i.work(ctx)
}

// work begins to serve.
func (i *Interface) work(ctx context.Context) {
	i.stream.accepted = i.folder.hasSession() && !planted.On(planted.LostSession)
	i.stream.inherited = i.stream.accepted
	context.AfterFunc(ctx, func() { i.in.wake(); i.out.wake() })
	i.done.Go(func() { i.receive(ctx) })
	i.done.Go(func() { i.send(ctx) })
}

// end stops serving; the files stay. It returns when every request has ended.
func (i *Interface) end() {
	if i.stop == nil {
		return
	}
	i.stop(ErrEnded)
	i.done.Wait()
	i.requests.group.Wait()
	i.watcher.drop(i)
	i.in.set(nil)
	i.out.set(nil)
}

// sayEvery is how often the same thing is logged of an interface at most.
const sayEvery = 10 * time.Second

// complaints keeps a workload from filling the log.
type complaints struct {
	mu   sync.Mutex
	last map[string]said // by text, which is one of few
}

type said struct {
	at   time.Time
	held int
}

// complain warns of what a workload does.
func (i *Interface) complain(text string, args ...any) { i.say(slog.LevelWarn, text, args...) }

// say logs what a workload does, unless the same was said not long ago.
func (i *Interface) say(level slog.Level, text string, args ...any) {
	held, ok := i.complaints.may(text, time.Now())
	if !ok {
		return
	}
	if held > 0 {
		args = append(args, "held_back", held)
	}
	i.logger.Log(context.Background(), level, text, args...)
}

// may tells whether to say something now, and how often it was not said since.
func (c *complaints) may(text string, now time.Time) (held int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, known := c.last[text]
	if known && now.Sub(before.at) < sayEvery {
		before.held++
		c.last[text] = before
		return 0, false
	}
	if c.last == nil {
		c.last = make(map[string]said)
	}
	c.last[text] = said{at: now}
	return before.held, true
}
