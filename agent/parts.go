package agent

import (
	"context"

	"github.com/argosy-cluster/argosy/agent/asks"
	"github.com/argosy-cluster/argosy/agent/assignments"
	"github.com/argosy-cluster/argosy/agent/load"
	"github.com/argosy-cluster/argosy/agent/neighbours"
	"github.com/argosy-cluster/argosy/agent/reconcile"
	"github.com/argosy-cluster/argosy/agent/session"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

var (
	_ session.Assignments = (*orders)(nil)
	_ session.States      = (*reconcile.Journal)(nil)
	_ session.Node        = (*node)(nil)
	_ answerer            = (*asks.Handler)(nil)
)

// orders hands what the leader says to the store, which judges it, and what
// the store lets pass to the manager.
type orders struct {
	store      *assignments.Store
	neighbours *neighbours.Book
	manager    *reconcile.Manager
	// unconfirmed is set while the leader stands behind the assignments, but has not
	// told everything yet that is needed to act on them.
	unconfirmed bool
}

func (o *orders) Held() assignments.Held {
	held := o.store.Held()
	held.Awaited = o.manager.Awaited()
	return held
}

func (o *orders) Accept(welcome *argosyv1.Welcome) error {
	if err := o.store.Accept(welcome.GetClusterId(), welcome.GetIncarnation(), welcome.GetTerm()); err != nil {
		return err
	}
	o.neighbours.Begin()
	o.unconfirmed = welcome.GetAssignmentsCurrent() && welcome.GetNeighboursFollow()
	if welcome.GetAssignmentsCurrent() && !o.unconfirmed {
		o.manager.Confirm()
	}
	return nil
}

func (o *orders) Learn(message *argosyv1.Neighbours) {
	changed, whole := o.neighbours.Learn(message)
	o.manager.Learn(changed)
	if whole && o.unconfirmed {
		o.unconfirmed = false
		o.manager.Confirm()
	}
}

func (o *orders) Assign(message *argosyv1.Assignments) error {
	change, err := o.store.Apply(message)
	if err != nil || change == nil {
		return err
	}
	o.manager.Apply(*change)
	return nil
}

// node tells of this machine.
type node struct {
	load    *load.Reader
	manager *reconcile.Manager
}

func (n *node) Runtimes(ctx context.Context) []*argosyv1.RuntimeInfo { return n.manager.Runtimes(ctx) }

func (n *node) Load() (cpuPercent uint32, freeBytes, totalBytes uint64) {
	sample := n.load.Sample()
	return sample.CPUPercent, sample.FreeBytes, sample.TotalBytes
}
