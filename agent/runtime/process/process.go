// Package process is the runtime that needs nothing installed: it runs commands
// on the host, through the one keeper process of the agent (package keeper),
// which is parent of them all and outlives the agent. This package is the
// keeper's client; it starts the keeper when there is none, also when it was
// killed.
//
// It protects one invariant: what the keeper cannot be asked is not made up. A
// call either got the keeper's answer or is ErrUnavailable, and a watcher that
// lost the keeper is told to list everything again.
//
// A process gets an environment of its own: PATH, HOME and what its
// configuration says in env, and nothing of the agent's, where secrets may be.
// It runs in the file system of the host, so that nothing can be mounted for it
// alone: variables of the environment say where its files and its control
// interface are (EnvFiles, EnvControlInterface).
// Every call opens a connection of its own; a call that lost its connection is
// repeated, as all calls are idempotent by the instance's name.
//
// A service manager that stops the agent must leave the keeper and the processes
// alone: systemd needs KillMode=process in the agent's unit.
package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Name of the runtime, as workloads ask for it.
const Name = "process"

// ExitUnknown is the exit code of an instance that ended while no keeper was
// there to see it; Detail says so.
const ExitUnknown = wire.ExitUnknown

// Variables of the environment by which a process finds what a container is shown
// by mounts. They are set when there is such a thing.
const (
	// EnvFiles is the folder of its files: the one of mount point /etc/a.conf is
	// $ARGOSY_FILES/etc/a.conf.
	EnvFiles = "ARGOSY_FILES"
	// EnvControlInterface is the folder of the pipes of its control interface.
	EnvControlInterface = "ARGOSY_CONTROL_INTERFACE"
)

// Config of the runtime.
type Config struct {
	// Dir is the keeper's directory, of this agent alone, for as long as the
	// agent's name lives: logs and exit codes are there. Required.
	Dir string
	// KeeperCommand starts a keeper; "--dir" and Dir are added to it. Required,
	// and as absolute path: usually this binary and "keeper".
	KeeperCommand []string
	// AgentName is the agent whose instances these are. Required.
	AgentName string
	// Home is the HOME of processes. Default: the agent's, or / when it has none.
	Home string
	// Version is told by Info. Default: none.
	Version string
	// Logger gets what happens; nil discards it.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults, without what is required.
func DefaultConfig() Config {
	home := os.Getenv("HOME")
	if home == "" {
		home = "/"
	}
	return Config{Home: home}
}

var agentName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,63}$`)

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	var problems []error
	if c.Dir == "" {
		problems = append(problems, errors.New("no directory"))
	}
	if len(c.KeeperCommand) == 0 || !filepath.IsAbs(c.KeeperCommand[0]) {
		problems = append(problems, fmt.Errorf("keeper command %q is no absolute path", c.KeeperCommand))
	}
	if !agentName.MatchString(c.AgentName) {
		problems = append(problems, fmt.Errorf("agent name %q is not 1 to 63 characters of [a-zA-Z0-9_-]", c.AgentName))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("check configuration of runtime %s: %w", Name, err)
	}
	return nil
}

// Runtime runs processes. It keeps nothing open but during calls.
type Runtime struct {
	cfg    Config
	logger *slog.Logger
	// starts lets one call at a time start a keeper.
	starts chan struct{}
	// child is the last keeper that was started from here, to be reaped.
	child int
	// problem is why the keeper could not be asked lately, empty when it could.
	problem atomic.Pointer[string]
}

var _ runtime.Runtime = (*Runtime)(nil)

// New makes the runtime. It starts nothing.
func New(cfg Config) (*Runtime, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("find directory of runtime %s: %w", Name, err)
	}
	cfg.Dir = dir
	if cfg.Home == "" {
		cfg.Home = DefaultConfig().Home
	}
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Runtime{cfg: cfg, logger: logger, starts: make(chan struct{}, 1)}, nil
}

// Info tells what is known, and asks nobody.
func (r *Runtime) Info(context.Context) *argosyv1.RuntimeInfo {
	info := &argosyv1.RuntimeInfo{Name: Name, Version: r.cfg.Version}
	if problem := r.problem.Load(); problem != nil {
		info.Problem = *problem
	}
	return info
}

// Start starts a process unless it runs.
func (r *Runtime) Start(ctx context.Context, workload *argosyv1.Workload, options runtime.StartOptions) (runtime.Instance, error) {
	instance, err := r.start(ctx, workload, options)
	if err != nil {
		return runtime.Instance{}, fmt.Errorf("start %s: %w", workload.GetName(), err)
	}
	return instance, nil
}

func (r *Runtime) start(ctx context.Context, workload *argosyv1.Workload, options runtime.StartOptions) (runtime.Instance, error) {
	if workload.GetAgent() != r.cfg.AgentName {
		return runtime.Instance{}, fmt.Errorf("%w: it is for agent %q, this is %q", runtime.ErrInvalidConfig, workload.GetAgent(), r.cfg.AgentName)
	}
	p, err := parseSpec(workload.GetRuntimeConfig(), r.surroundings(options))
	if err != nil {
		return runtime.Instance{}, err
	}
	response, err := r.ask(ctx, wire.Request{
		Op:   wire.OpStart,
		Name: nameOf(argosyv1.InstanceOf(workload)),
		Start: &wire.Start{
			Reuse: options.Reuse, Args: p.args, Env: p.env, Dir: p.dir,
			StopSignal: int(p.stopSignal), StopTimeout: p.stopTimeout,
		},
	})
	if err != nil {
		return runtime.Instance{}, err
	}
	if response.Instance == nil {
		return runtime.Instance{}, fmt.Errorf("%w: keeper answered without an instance", runtime.ErrUnavailable)
	}
	return instanceOf(*response.Instance), nil
}

// surroundings are what the environment of a process says unless its configuration
// says otherwise.
func (r *Runtime) surroundings(options runtime.StartOptions) map[string]string {
	env := map[string]string{"PATH": DefaultPath, "HOME": r.cfg.Home}
	if folder := options.FilesFolder(); folder != "" {
		env[EnvFiles] = folder
	}
	if folder := options.ControlInterface(); folder != "" {
		env[EnvControlInterface] = folder
	}
	return env
}

// Remove stops a process and forgets it.
func (r *Runtime) Remove(ctx context.Context, name *argosyv1.InstanceName) error {
	if _, err := r.ask(ctx, wire.Request{Op: wire.OpRemove, Name: nameOf(name)}); err != nil {
		return fmt.Errorf("remove %s: %w", name.GetWorkload(), err)
	}
	return nil
}

// List returns all instances of the agent.
func (r *Runtime) List(ctx context.Context) ([]runtime.Instance, error) {
	response, err := r.ask(ctx, wire.Request{Op: wire.OpList})
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	instances := make([]runtime.Instance, 0, len(response.Instances))
	for _, instance := range response.Instances {
		if instance.Name.Agent == r.cfg.AgentName {
			instances = append(instances, instanceOf(instance))
		}
	}
	return instances, nil
}

func nameOf(name *argosyv1.InstanceName) wire.Name {
	return wire.Name{Workload: name.GetWorkload(), ID: name.GetId(), Agent: name.GetAgent()}
}

func instanceOf(i wire.Instance) runtime.Instance {
	return runtime.Instance{
		Name:      &argosyv1.InstanceName{Workload: i.Name.Workload, Id: i.Name.ID, Agent: i.Name.Agent},
		RuntimeID: strconv.Itoa(i.PID),
		Status:    statusOf(i.Status),
		ExitCode:  int32(i.ExitCode),
		Detail:    i.Detail,
		StartedAt: i.Started,
	}
}

func statusOf(s wire.Status) runtime.Status {
	switch s {
	case wire.Running:
		return runtime.StatusRunning
	case wire.Stopping:
		return runtime.StatusStopping
	case wire.Exited:
		return runtime.StatusExited
	default:
		return runtime.StatusUnknown
	}
}
