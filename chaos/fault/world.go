package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/wait"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const (
	// leaderLimit is how long a fault of the leader waits for there to be one.
	leaderLimit = 3 * time.Second
	// askLimit bounds one question to one server.
	askLimit = time.Second
)

// servers are the names of all servers.
func (w *World) servers() []string { return names(w.Cluster.Servers) }

// everybody are the names of all hosts, the clients' too.
func (w *World) everybody() []string {
	return slices.Concat(w.servers(), names(w.Cluster.Agents), []string{ClientHost})
}

func names(processes []*cluster.Process) []string {
	var all []string
	for _, p := range processes {
		all = append(all, p.Name)
	}
	return all
}

// view is what the server says that leads, or that knows best who does.
type view struct {
	leader *cluster.Process
	status *argosyv1.StatusResponse
	// all are what every server says that answered.
	all []*argosyv1.StatusResponse
}

// look asks all servers that can answer who leads, and believes the one with the
// highest term, and of those the leader itself.
func (w *World) look(ctx context.Context) (view, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var mu sync.Mutex
	var best view
	var group sync.WaitGroup
	errs := []error{errors.New("no server names a leader")}
	for _, p := range w.Cluster.Servers {
		if !p.Running() || w.Ledger.Down(p.Name) || w.Ledger.links.cuts(direction{ClientHost, p.Name}, direction{p.Name, ClientHost}) {
			continue
		}
		group.Go(func() {
			status, err := w.Client.StatusOf(ctx, p.Endpoint())
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("ask %s: %w", p.Name, err))
				return
			}
			best.all = append(best.all, status)
			if better(status, best.status) {
				best.status = status
			}
		})
	}
	group.Wait()
	for _, p := range w.Cluster.Servers {
		if best.status != nil && p.Endpoint() == best.status.GetHeader().GetLeaderAddress() {
			best.leader = p
			return best, nil
		}
	}
	return best, fmt.Errorf("find leader: %w", errors.Join(errs...))
}

// better tells whether a status is to be believed rather than another.
func better(status, than *argosyv1.StatusResponse) bool {
	header, other := status.GetHeader(), than.GetHeader()
	switch {
	case header.GetLeaderId() == "":
		return false
	case than == nil || header.GetTerm() != other.GetTerm():
		return header.GetTerm() > other.GetTerm()
	}
	return header.GetServerId() == header.GetLeaderId()
}

// leading is the name of the leader, empty when none is known at once.
func (w *World) leading(ctx context.Context) string {
	seen, err := w.look(ctx)
	if err != nil {
		return ""
	}
	return seen.leader.Name
}

// leader waits a little for a leader.
func (w *World) leader(ctx context.Context) (*cluster.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, leaderLimit)
	defer cancel()
	for {
		seen, err := w.look(ctx)
		if err == nil {
			return seen.leader, nil
		}
		if wait.For(ctx, lookEvery) != nil {
			return nil, fmt.Errorf("%w: nobody leads: %w", ErrNoTarget, err)
		}
	}
}

// who picks whom a fault strikes.
type who func(ctx context.Context, w *World, step plan.Step) ([]*cluster.Process, error)

// theLeader is who leads.
func theLeader(ctx context.Context, w *World, _ plan.Step) ([]*cluster.Process, error) {
	leader, err := w.leader(ctx)
	return []*cluster.Process{leader}, err
}

// aServer is any of the servers, aFollower one that does not lead.
func aServer(_ context.Context, w *World, step plan.Step) ([]*cluster.Process, error) {
	return w.pick(w.Cluster.Servers, step, "server")
}

func aFollower(ctx context.Context, w *World, step plan.Step) ([]*cluster.Process, error) {
	leader, err := w.leader(ctx)
	if err != nil {
		return nil, err
	}
	return w.pick(without(w.Cluster.Servers, leader), step, "follower")
}

// twoServers are two of them, in any order.
func twoServers(_ context.Context, w *World, step plan.Step) ([]*cluster.Process, error) {
	first, err := w.pick(w.Cluster.Servers, step, "server")
	if err != nil {
		return nil, err
	}
	second, err := w.pick(without(w.Cluster.Servers, first[0]), step, "second server")
	return append(first, second...), err
}

// allServers are all that no other fault has its hands on; fewer than a majority
// are not all.
func allServers(_ context.Context, w *World, _ plan.Step) ([]*cluster.Process, error) {
	free := w.free(w.Cluster.Servers)
	if majority := len(w.Cluster.Servers)/2 + 1; len(free) < majority {
		return nil, fmt.Errorf("%w: only %d servers run that no other fault has its hands on", ErrNoTarget, len(free))
	}
	return free, nil
}

func anAgent(_ context.Context, w *World, step plan.Step) ([]*cluster.Process, error) {
	return w.pick(w.Cluster.Agents, step, "agent")
}

// pick picks one of those that no other fault has its hands on.
func (w *World) pick(from []*cluster.Process, step plan.Step, what string) ([]*cluster.Process, error) {
	free := w.free(from)
	if len(free) == 0 {
		return nil, fmt.Errorf("%w: no %s runs that no other fault has its hands on", ErrNoTarget, what)
	}
	return []*cluster.Process{free[step.Choice%uint64(len(free))]}, nil
}

// free are those that run and that no other fault has its hands on.
func (w *World) free(from []*cluster.Process) []*cluster.Process {
	return slices.DeleteFunc(slices.Clone(from), func(p *cluster.Process) bool { return !p.Running() || !w.Ledger.free(p.Name) })
}

func without(all []*cluster.Process, not *cluster.Process) []*cluster.Process {
	return slices.DeleteFunc(slices.Clone(all), func(p *cluster.Process) bool { return p == not })
}

// start starts processes that do not run.
func (w *World) start(processes ...*cluster.Process) error {
	var errs []error
	for _, p := range processes {
		if err := p.Start(); err != nil && !errors.Is(err, cluster.ErrRunning) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// returning gives back what was taken of servers when they are level with the
// others again; until then it is another harm. Agents come back by themselves.
func (w *World) returning(h *Hold, until harms, processes ...*cluster.Process) {
	w.returningThen(h, until, h.Release, processes...)
}

// returningThen is like returning; what was taken is given back by then.
func (w *World) returningThen(h *Hold, until harms, then func(), processes ...*cluster.Process) {
	servers := slices.DeleteFunc(slices.Clone(processes), func(p *cluster.Process) bool { return !slices.Contains(w.Cluster.Servers, p) })
	if len(servers) == 0 {
		h.Release()
		return
	}
	h.Become(until(names(servers)))
	w.Ledger.await(fmt.Sprintf("%v to be level again", names(servers)), w.areLevel(servers), then)
}

// areLevel checks whether servers have come as far as the others were when it was
// first asked.
func (w *World) areLevel(servers []*cluster.Process) func(ctx context.Context) error {
	var mark uint64
	return func(ctx context.Context) error {
		seen, err := w.look(ctx)
		if err != nil {
			return err
		}
		if mark == 0 {
			mark = seen.status.GetHeader().GetRevision()
		}
		for _, p := range servers {
			if err := Level(seen.status, seen.all, p.Name, mark); err != nil {
				return err
			}
		}
		return nil
	}
}

// Level tells whether a server is one like the others by what the leader says:
// the only one of its name, a voter, and no further back than a mark. That it
// votes a majority must have in its log, by what all that answered say: a leader
// alone could take that knowledge with it.
func Level(status *argosyv1.StatusResponse, all []*argosyv1.StatusResponse, name string, mark uint64) error {
	found, id := 0, ""
	for _, server := range status.GetServers() {
		if server.GetName() != name {
			continue
		}
		found++
		id = server.GetId()
		switch {
		case !server.GetVoter() || !server.GetAlive():
			return fmt.Errorf("%s (%s) is alive: %v, a voter: %v", name, server.GetId(), server.GetAlive(), server.GetVoter())
		case server.GetProblem() != "":
			return fmt.Errorf("%s says: %s", name, server.GetProblem())
		case server.GetAppliedIndex() < mark:
			return fmt.Errorf("%s is at index %d, the others were at %d", name, server.GetAppliedIndex(), mark)
		}
	}
	if found != 1 {
		return fmt.Errorf("%d servers have the name %s", found, name)
	}
	knowing := uint32(0)
	for _, one := range all {
		if votes(status, one.GetHeader().GetServerId()) && votes(one, id) {
			knowing++
		}
	}
	if quorum := status.GetQuorum(); knowing < quorum {
		return fmt.Errorf("%d voters say that %s (%s) votes, %d must", knowing, name, id, quorum)
	}
	return nil
}

// votes tells whether a server votes by what another one says.
func votes(status *argosyv1.StatusResponse, id string) bool {
	return slices.ContainsFunc(status.GetServers(), func(s *argosyv1.ServerStatus) bool { return s.GetId() == id && s.GetVoter() })
}
