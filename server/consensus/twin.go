package consensus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"
)

// This file finds a second process that claims to be this server, which is so
// when a data directory was copied and both are used. Two processes that vote
// under one id can elect two leaders.
//
// A server that comes up elsewhere than its cluster knows it looks whether
// somebody answers under its id where the cluster knows it. It looks by a
// connection like any other, but calls itself by the id of its process: whoever
// is that process itself, reached by another of its addresses, says so.

// probePrefix begins the name of a caller that only looks.
const probePrefix = "probe/"

// errSelf is the text by which a process refuses to be taken for its own twin.
var errSelf = errors.New("this is the process that asks")

// probes tells whether a caller only looks, and whether it is this process.
func (l *layer) probes(caller string) (looks, itself bool) {
	process, looks := strings.CutPrefix(caller, probePrefix)
	return looks, looks && process == l.process
}

// answersAs tells whether a process other than the one named listens at an
// address as a server of this cluster with an id.
func (l *layer) answersAs(ctx context.Context, id, address, process string) bool {
	if l.realm().cluster == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	conn, err := l.network.Dial(ctx, address)
	if err != nil {
		return false
	}
	set, err := l.callAs(ctx, conn, probePrefix+process, id)
	if err != nil {
		_ = conn.Close()
		return false
	}
	_ = set.Close()
	return true
}

func newProcessID() string { return uuid.NewString() }

// ProcessID tells this process from every other one that claims to be the same
// server.
func (n *Node) ProcessID() string { return n.layer.process }

// CheckTwin returns ErrTwin when another process answers as this server where
// the cluster knows it.
func (n *Node) CheckTwin(ctx context.Context) error {
	for _, s := range n.configuration().Servers {
		if s.ID == n.id() {
			return n.checkTwin(ctx, s, n.layer.process)
		}
	}
	return nil
}

// CheckMove returns ErrTwin when a server shall get a new address and a process
// other than the one named, which asked for it, answers under its id at the one
// that it has.
func (n *Node) CheckMove(ctx context.Context, id, address, process string) error {
	for _, s := range n.configuration().Servers {
		if string(s.ID) == id && string(s.Address) != address && process != "" {
			return n.checkTwin(ctx, s, process)
		}
	}
	return nil
}

// checkTwin returns ErrTwin when a process other than the one named answers as a
// server at its address.
func (n *Node) checkTwin(ctx context.Context, s raft.Server, process string) error {
	if string(s.Address) == n.Address() && s.ID == n.id() {
		return nil
	}
	if !n.layer.answersAs(ctx, string(s.ID), string(s.Address), process) {
		return nil
	}
	return fmt.Errorf("%w: server %s runs at %s; a data directory was copied: stop one of the two for good, and give it an empty directory and --join", ErrTwin, s.ID, s.Address)
}

// checkTwinFirst is CheckTwin before this server takes part in anything. It does
// not wait for long: what does not answer by then is looked for again.
func (n *Node) checkTwinFirst() error {
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.Timing.Heartbeat)
	defer cancel()
	return n.CheckTwin(ctx)
}
