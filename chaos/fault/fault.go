package fault

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/podmand"
	"github.com/argosy-cluster/argosy/client"
)

var (
	// ErrUnavailable is returned by what cannot be done on this machine.
	ErrUnavailable = errors.New("not available here")
	// ErrNoTarget is returned when there is nothing to do it to at the moment, such
	// as a leader.
	ErrNoTarget = errors.New("no target")
	// ErrBudget is returned by what would make a majority lose what it has, or is
	// in the way of another fault in effect.
	ErrBudget = errors.New("more than a quorum survives")
	// ErrStuck is returned when a fault could not be undone.
	ErrStuck = errors.New("fault cannot be undone")
)

// World is what faults are done to. Supervise should be running beside it: a
// server may end by itself when its disk fails, and is then started again as by
// a machine's own supervisor.
type World struct {
	Site    *lab.Site
	Cluster *cluster.Cluster
	// Client asks who leads, and moves leadership; it is of no load.
	Client *client.Client
	// Rand is the step's own: all of its chance.
	Rand *rand.Rand
	Log  *slog.Logger
	// Ledger knows what other faults have taken.
	Ledger *Ledger
	// Podman is the service that the agents use; nil when they have none.
	Podman *podmand.Service
	// Upgrade has a server be of the newest version from its next start on. Default:
	// all are.
	Upgrade func(p *cluster.Process)
	// Did is told what was done beside the steps of a plan, at any time. Default:
	// nobody is.
	Did func(Deed)
}

// Deed is something that was done to a server because of a step, and is none
// itself.
type Deed struct {
	// Step is the number of the plan's step.
	Step int
	// Kind is the fault that it amounts to, Changes how many changes of leader that
	// may cost.
	Kind    plan.Kind
	Changes int
	// Target is the server's name, Leader that of the leader, empty when not known.
	Target, Leader string
	// Detail is what was done, and why.
	Detail string
	// Begun and Ended are between which times.
	Begun, Ended time.Time
	// Quorum tells whether a majority was well all the time.
	Quorum bool
	// Err is why it failed.
	Err error
}

// Active is a fault in effect.
type Active struct {
	// Targets are the names of the servers and agents that it strikes; of a workload
	// its agent's and its own.
	Targets []string
	// Leader is the name of the leader when it was done, empty when not known.
	Leader string
	// Detail is what was done, with the values.
	Detail string
	// Heal undoes it and waits until that is so: processes run, links and disks
	// answer. It does not wait until the cluster has recovered. It may be nil.
	Heal func(ctx context.Context) error
}

// Fault is one kind of fault.
type Fault struct {
	// Kind is its name.
	Kind plan.Kind
	// What it does, in one line for people.
	What string
	// Changes is how many changes of leader it may cost when nothing else is wrong.
	Changes int
	// Available returns why it cannot be done here, nil when it can. It wraps
	// ErrUnavailable.
	Available func(w *World) error
	// Inject does it. What it takes of the quorum it takes from the world's ledger
	// first, and gives back when it is healed. A fault that failed half-way has
	// undone what it did, and told the world's Did of a server that it had killed.
	Inject func(ctx context.Context, w *World, step plan.Step) (*Active, error)
}
