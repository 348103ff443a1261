package logs

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Relay brings together the users who read logs and the agents that push them.
// It lives as long as the server.
type Relay struct {
	cfg  Config
	deps Deps
	log  *slog.Logger

	mu     sync.Mutex
	pushes map[string]*push // by id
}

// New makes a relay.
func New(deps Deps, cfg Config) (*Relay, error) {
	if err := deps.validate(); err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure logs: %w", err)
	}
	log := deps.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Relay{cfg: cfg, deps: deps, log: log, pushes: map[string]*push{}}, nil
}

// UserStream is the server's end of a Logs call.
type UserStream interface {
	Context() context.Context
	Send(*argosyv1.LogsResponse) error
}

// Logs answers a Logs call on the leader. It returns when all instances have
// ended, or the user has gone. It fails with NOT_FOUND when a workload has no
// instance, and with NOT_LEADER when this server does not lead, or stops to
// while lines come.
func (r *Relay) Logs(request *argosyv1.LogsRequest, stream UserStream) error {
	if n := len(request.GetAfter()); n > r.cfg.MaxInstances {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "read logs: %d places, at most %d are taken; name fewer workloads", n, r.cfg.MaxInstances)
	}
	instances, err := r.instances(request.GetNames())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	reader := &reader{ctx: ctx, fail: cancel, lines: make(chan []*argosyv1.LogLine)}
	options := proto.CloneOf(request)
	options.Names = nil

	var pushes sync.WaitGroup
	for _, instance := range instances {
		pushes.Go(func() { r.follow(reader, instance, options) })
	}
	err = reader.forward(stream, len(instances))
	cancel(err)
	pushes.Wait()
	return err
}

// instances returns what there is of the workloads, each once.
func (r *Relay) instances(names []string) ([]*argosyv1.InstanceName, error) {
	if len(names) == 0 {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "read logs: no workload is named; name at least one")
	}
	var found []*argosyv1.InstanceName
	var missing []string
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			continue
		}
		seen[name] = true
		states := r.deps.Store.Reported(name)
		if len(states) == 0 {
			missing = append(missing, fmt.Sprintf("%q", name))
		}
		for _, state := range states {
			found = append(found, state.GetInstance())
		}
		if len(found) > r.cfg.MaxInstances {
			return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID,
				"read logs: more than %d instances; name fewer workloads", r.cfg.MaxInstances)
		}
	}
	if len(missing) > 0 {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND,
			"read logs: no instance of workload %s: it does not exist, or no agent has spoken of it yet", strings.Join(missing, ", "))
	}
	return found, nil
}

// reader is one user's call.
type reader struct {
	ctx   context.Context
	fail  context.CancelCauseFunc
	lines chan []*argosyv1.LogLine
}

// forward sends what comes until so many instances have ended.
func (r *reader) forward(stream UserStream, open int) error {
	for open > 0 {
		select {
		case lines := <-r.lines:
			if err := stream.Send(&argosyv1.LogsResponse{Lines: lines}); err != nil {
				return err
			}
			if lines[len(lines)-1].GetEnd() {
				open--
			}
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
	}
	return nil
}
