package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/argosy-cluster/argosy/agent/asks"
	"github.com/argosy-cluster/argosy/agent/assignments"
	"github.com/argosy-cluster/argosy/agent/load"
	"github.com/argosy-cluster/argosy/agent/logs"
	"github.com/argosy-cluster/argosy/agent/neighbours"
	"github.com/argosy-cluster/argosy/agent/reconcile"
	"github.com/argosy-cluster/argosy/agent/runfolder"
	"github.com/argosy-cluster/argosy/agent/session"
)

// Files in the data directory.
const (
	assignmentsFile = "assignments"
	neighboursFile  = "neighbours"
)

// Agent is the agent of one node.
type Agent struct {
	cfg    Config
	logger *slog.Logger
	ready  chan struct{}
}

// New makes an agent. It starts nothing and touches no file.
func New(cfg Config) (*Agent, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Agent{cfg: cfg, logger: cfg.Logger, ready: make(chan struct{})}, nil
}

// Ready is closed once the agent supervises what runs; it may not have found a
// leader by then.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// Run works until the context ends: it takes up what an earlier life left, and
// leaves everything running. It may be called once.
func (a *Agent) Run(ctx context.Context) (err error) {
	dir, err := claim(a.cfg.DataDir, a.cfg.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.release()) }()

	store := assignments.Open(filepath.Join(a.cfg.DataDir, assignmentsFile), a.cfg.bootID(), a.logger)
	known := neighbours.Open(filepath.Join(a.cfg.DataDir, neighboursFile), a.logger)
	var keeper *session.Session
	shown, release, err := a.mounts(store, func() []string { return keeper.Servers() })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	manager, err := a.manager(store, known, shown)
	if err != nil {
		return err
	}
	keeper, err = a.session(dir, &orders{store: store, neighbours: known, manager: manager})
	if err != nil {
		return err
	}
	if remembered := store.Remembered(); len(remembered.Upserts)+len(remembered.Leaving) > 0 {
		manager.Apply(remembered)
		a.logger.Info("assignments of an earlier life were taken up", "workloads", len(remembered.Upserts), "removals", len(remembered.Leaving), "revision", remembered.Revision)
	}

	// They stop one after the other: the session ends first, so that the server
	// knows; operations in flight then come to their end, and what they started
	// is remembered last.
	remember := background(store.Run)
	note := background(known.Run)
	supervise := background(manager.Run)
	close(a.ready)
	sessionErr := a.converse(ctx, manager, keeper)
	return errors.Join(sessionErr, supervise.stop(), shown.stop(), remember.stop(), note.stop())
}

// mounts takes the agent's folder in the run folder for this process. What workloads
// ask for is asked of the servers that are known by then.
func (a *Agent) mounts(store *assignments.Store, servers func() []string) (shown *mounts, release func() error, err error) {
	cfg := asks.DefaultConfig()
	cfg.Servers, cfg.Workloads = servers, store
	cfg.TLS, cfg.Network, cfg.Logger = a.cfg.TLS, a.cfg.Network, a.logger.With("part", "asks")
	answers, err := asks.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	folder, err := a.cfg.runFolder()
	if err != nil {
		return nil, nil, err
	}
	if shown, err = newMounts(folder, a.cfg.Name, answers, a.logger); err != nil {
		return nil, nil, err
	}
	claimed, err := runfolder.New(folder, a.cfg.Name, a.logger).Claim()
	if err != nil {
		return nil, nil, err
	}
	return shown, claimed.Close, nil
}

func (a *Agent) manager(store *assignments.Store, known *neighbours.Book, shown *mounts) (*reconcile.Manager, error) {
	cfg := a.cfg.Reconcile
	cfg.Agent, cfg.Logger = a.cfg.Name, a.logger
	cfg.Rebooted, cfg.Neighbours, cfg.Preparer = store.Rebooted(), known, shown
	return reconcile.New(cfg, a.cfg.Runtimes, store)
}

func (a *Agent) session(dir *dataDir, told *orders) (*session.Session, error) {
	manager := told.manager
	cfg := a.cfg.Session
	cfg.Name, cfg.Version, cfg.Tags = a.cfg.Name, a.cfg.Version, a.cfg.Tags
	cfg.BootID, cfg.InstanceID = a.cfg.bootID(), uuid.NewString()
	home, err := dir.id()
	if err != nil {
		return nil, err
	}
	cfg.HomeID = home
	cfg.Servers, cfg.TLS, cfg.Network, cfg.Logger = a.cfg.Servers, a.cfg.TLS, a.cfg.Network, a.logger
	return session.New(cfg, session.Deps{
		Assignments: told,
		States:      manager.Journal(),
		Node:        &node{load: load.New(), manager: manager},
		Logs:        logs.New(manager, a.logger),
		Directory:   a.cfg.Gossip,
	})
}

// converse waits for the runtimes, so that the first report is not one of
// nothing, and keeps the session.
func (a *Agent) converse(ctx context.Context, manager *reconcile.Manager, s *session.Session) error {
	patience := time.NewTimer(a.cfg.StartupPatience)
	defer patience.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-manager.Ready():
	case <-patience.C:
		a.logger.Warn("a runtime has not told yet what it has; going on without it", "after", a.cfg.StartupPatience)
	}
	return s.Run(ctx)
}

// task is a part that runs in the background.
type task struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func background(run func(context.Context) error) *task {
	ctx, cancel := context.WithCancel(context.Background())
	t := &task{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		t.err = run(ctx)
	}()
	return t
}

// stop ends the part, waits for its end and returns how it went.
func (t *task) stop() error {
	t.cancel()
	<-t.done
	if t.err != nil {
		return fmt.Errorf("run agent: %w", t.err)
	}
	return nil
}
