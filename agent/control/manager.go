package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/argosy-cluster/argosy/agent/runfolder"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Manager has the control interfaces of an agent.
type Manager struct {
	cfg   Config
	agent runfolder.Folder

	mu         sync.Mutex
	interfaces map[string]*Interface // by name of the folder
	watcher    *watcher
	ctx        context.Context // of Run; nil before it
	ended      bool
}

// New returns a manager, and starts nothing.
func New(cfg Config) (*Manager, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Manager{
		cfg: cfg, agent: runfolder.New(cfg.Dir, cfg.Agent, cfg.Logger),
		interfaces: make(map[string]*Interface),
	}, nil
}

// Run serves the interfaces that are open until the context ends, then lets go of
// them. Their files stay: a workload goes on with the agent's next run.
func (m *Manager) Run(ctx context.Context) error {
	watcher, err := newWatcher()
	if err != nil {
		return err
	}
	defer watcher.close()
	parent := ctx
	ctx, stop := context.WithCancelCause(context.WithoutCancel(parent))
	defer stop(ErrEnded)
	defer context.AfterFunc(parent, func() { stop(ErrEnded) })()
	if err := m.begin(ctx, watcher); err != nil {
		return err
	}
	err = watcher.run(ctx)
	stop(ErrEnded)
	m.endAll()
	return err
}

func (m *Manager) begin(ctx context.Context, watcher *watcher) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx != nil {
		return fmt.Errorf("run control interfaces: %w: it ran before", ErrEnded)
	}
	m.ctx, m.watcher = ctx, watcher
	for _, i := range m.interfaces {
		i.takeUp(ctx, watcher)
	}
	return nil
}

func (m *Manager) endAll() {
	m.mu.Lock()
	m.ended = true
	all := m.interfaces
	m.interfaces = nil
	m.mu.Unlock()
	for _, i := range all {
		i.end()
	}
}

// Open makes the interface of an instance, takes over the one that a former agent
// left, or does nothing when it is open. It returns the folder that the workload
// has to find as /run/ankaios/control_interface. Workloads are served from the
// return on, or once Run is called.
func (m *Manager) Open(instance *argosyv1.InstanceName) (folder string, err error) {
	place, err := m.place(instance)
	if err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return "", fmt.Errorf("open control interface of %s: %w", instance.Key(), ErrEnded)
	}
	if m.interfaces[place.name] != nil {
		return place.path(), nil
	}
	i := newInterface(m.cfg, instance, place)
	if err = place.pipes(); err == nil && m.ctx != nil {
		err = i.start(m.ctx, m.watcher)
	}
	if err != nil {
		return "", fmt.Errorf("open control interface of %s: %w", instance.Key(), err)
	}
	m.interfaces[place.name] = i
	return place.path(), nil
}

// Close ends the interface of an instance, and what is under way on it, and removes
// its files; those of a former agent too.
func (m *Manager) Close(instance *argosyv1.InstanceName) error {
	place, err := m.place(instance)
	if err != nil {
		return err
	}
	m.mu.Lock()
	i := m.interfaces[place.name]
	delete(m.interfaces, place.name)
	m.mu.Unlock()
	if i != nil {
		i.end()
	}
	if err := m.agent.Remove(place.name); err != nil {
		return fmt.Errorf("close control interface of %s: %w", instance.Key(), err)
	}
	return nil
}

// Sweep removes what former agents left, for other instances than those that are to
// be kept and those that are open.
func (m *Manager) Sweep(keep []*argosyv1.InstanceName) error {
	names, err := m.agent.Names()
	if err != nil {
		return fmt.Errorf("sweep control interfaces: %w", err)
	}
	kept := make(map[string]bool, len(keep))
	for _, instance := range keep {
		name, err := runfolder.NameOf(instance)
		if err == nil {
			kept[name] = true
		}
	}
	var problems []error
	for _, name := range names {
		m.mu.Lock()
		if !kept[name] && m.interfaces[name] == nil {
			problems = append(problems, m.agent.Remove(name))
		}
		m.mu.Unlock()
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("sweep control interfaces: %w", err)
	}
	return nil
}

// place says where an instance's interface is.
func (m *Manager) place(instance *argosyv1.InstanceName) (folder, error) {
	name, err := runfolder.NameOf(instance)
	if err != nil {
		return folder{}, fmt.Errorf("%w: control interface: %w", ErrConfig, err)
	}
	return folder{agent: m.agent, name: name, logger: m.cfg.Logger}, nil
}
