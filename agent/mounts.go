package agent

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/agent/control"
	"github.com/argosy-cluster/argosy/agent/files"
	"github.com/argosy-cluster/argosy/agent/reconcile"
	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

var _ reconcile.Preparer = (*mounts)(nil)

// answerer does what workloads ask for through their control interfaces, some of it
// only while Run runs.
type answerer interface {
	control.Handler
	Run(ctx context.Context) error
}

// mounts makes what instances are shown of the host: their files and their control
// interfaces. Both lie in one folder for each instance, which is removed with it.
type mounts struct {
	files   *files.Maker
	control *control.Manager
	answers answerer
	logger  *slog.Logger

	// sweeping is held while left-overs are removed, and for reading while
	// something is made.
	sweeping sync.RWMutex

	mu sync.Mutex
	// made are the instances for which something was made in this life.
	made map[string]*argosyv1.InstanceName
	// serving runs once there is a control interface: an agent without one has
	// neither goroutines nor watches for them.
	serving *task
}

func newMounts(runFolder, agent string, answers answerer, logger *slog.Logger) (*mounts, error) {
	cfg := control.DefaultConfig()
	cfg.Dir, cfg.Agent, cfg.Handler, cfg.Logger = runFolder, agent, answers, logger.With("part", "control")
	manager, err := control.New(cfg)
	if err != nil {
		return nil, err
	}
	return &mounts{
		files: files.New(runFolder, agent, logger), control: manager, answers: answers, logger: logger,
		made: make(map[string]*argosyv1.InstanceName),
	}, nil
}

// Prepare implements reconcile.Preparer.
func (p *mounts) Prepare(ctx context.Context, w *argosyv1.Workload) ([]runtime.Mount, error) {
	name := argosyv1.InstanceOf(w)
	defer p.begin(name)()
	shown, err := p.files.Make(ctx, name, w.GetFiles())
	if err != nil || !w.HasControlInterface() {
		return shown, err
	}
	folder, err := p.open(name)
	if err != nil {
		return nil, err
	}
	// Read-only: the pipes can be written to, and nothing put in their place.
	return append(shown, runtime.Mount{Source: folder, Target: runtime.ControlInterfaceTarget, ReadOnly: true}), nil
}

// Adopt implements reconcile.Preparer.
func (p *mounts) Adopt(_ context.Context, w *argosyv1.Workload) error {
	name := argosyv1.InstanceOf(w)
	defer p.begin(name)()
	_, err := p.open(name)
	return err
}

// begin notes that something is made for an instance; the result ends that.
func (p *mounts) begin(name *argosyv1.InstanceName) (end func()) {
	p.sweeping.RLock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made[name.Key()] = name
	return p.sweeping.RUnlock
}

// open opens a control interface and sees to it that it is served.
func (p *mounts) open(name *argosyv1.InstanceName) (folder string, err error) {
	if folder, err = p.control.Open(name); err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.serving == nil {
		p.serving = background(p.serve)
	}
	return folder, nil
}

// serveAgain is how long to wait before control interfaces that could not be served
// are tried again.
const serveAgain = 10 * time.Second

// serve serves the control interfaces until the context ends, however long the
// kernel has no room for their watches.
func (p *mounts) serve(ctx context.Context) (err error) {
	answering := background(p.answers.Run)
	defer func() { err = errors.Join(err, answering.stop()) }()
	for {
		err := p.control.Run(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			return nil
		case errors.Is(err, control.ErrEnded):
			p.logger.Error("control interfaces are not served until the agent is started again", "error", err)
			return err
		}
		p.logger.Warn("control interfaces are not served; trying again", "after", serveAgain, "error", err)
		timer := time.NewTimer(serveAgain)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// Release implements reconcile.Preparer.
func (p *mounts) Release(_ context.Context, name *argosyv1.InstanceName) error {
	// With everything in the folder of the instance, files too.
	if err := p.control.Close(name); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.made, name.Key())
	return nil
}

// Sweep implements reconcile.Preparer.
func (p *mounts) Sweep(_ context.Context, keep []*argosyv1.InstanceName) error {
	p.sweeping.Lock()
	defer p.sweeping.Unlock()
	p.mu.Lock()
	keep = slices.AppendSeq(slices.Clone(keep), maps.Values(p.made))
	p.mu.Unlock()
	return p.control.Sweep(keep)
}

// stop lets go of the control interfaces; they stay for the agent's next life.
func (p *mounts) stop() error {
	p.mu.Lock()
	serving := p.serving
	p.mu.Unlock()
	if serving == nil {
		return nil
	}
	return serving.stop()
}
