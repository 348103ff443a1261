package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/argosy-cluster/argosy/agent"
	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/membership"
)

// node is an agent with its machine, through all of its lives.
type node struct {
	world   *world
	name    string
	addr    netip.Addr
	dir     string
	machine *machine
	life    atomic.Pointer[life] // nil while it is down
	// busy is set while a fault has it down.
	busy atomic.Bool
}

// start begins a life.
func (n *node) start() {
	l := newLife(n.world.fabric.Boot(n.addr))
	n.life.Store(l)
	log, _ := n.world.logger(n.name, l)

	gossip := membership.DefaultConfig()
	gossip.Self = membership.Member{ID: n.name, Name: n.name, Role: membership.RoleAgent, Version: "simulated"}
	gossip.BindAddress = n.addr.String() + ":" + gossipPort
	gossip.Timing = gossip.Timing.Scale(n.world.plan.Settings.TimingMultiplier)
	gossip.Network, gossip.Logger = l.host, log

	cfg := agent.DefaultConfig()
	cfg.Name, cfg.DataDir, cfg.RunFolder, cfg.Version = n.name, n.dir, n.dir+"-run", "simulated"
	cfg.Network, cfg.Logger = l.host, log
	cfg.Runtimes = []runtime.Runtime{access{n.machine, l.host.Dead()}}
	for _, r := range n.world.servers {
		cfg.Servers = append(cfg.Servers, r.endpoint())
		gossip.Join = append(gossip.Join, r.addr.String()+":"+gossipPort)
	}
	go func() {
		defer close(l.done)
		members, err := membership.Open(gossip)
		if err != nil {
			l.err = err
			return
		}
		cfg.Gossip = agent.FromMembership(members)
		a, err := agent.New(cfg)
		if err == nil {
			err = a.Run(l.ctx)
		}
		l.err = errors.Join(err, members.Close())
	}()
}

func (n *node) wait(l *life) error {
	select {
	case <-l.done:
	case <-time.After(stopLimit):
		return fmt.Errorf("stop %s: it does not stop within %v", n.name, stopLimit)
	}
	return nil
}

// halt stops it in order; its workloads stay.
func (n *node) halt() error {
	l := n.life.Load()
	if l == nil {
		return nil
	}
	l.stop()
	if err := n.wait(l); err != nil {
		return err
	}
	n.life.Store(nil)
	l.dead.Store(true)
	l.host.Die(false)
	if l.err != nil {
		return fmt.Errorf("%s ended: %w", n.name, l.err)
	}
	return nil
}

// kill ends its life as it is; its workloads stay, unless their machine loses its
// power. What it still writes is undone: the directory must stay the same one, by
// which servers know an agent that comes back.
func (n *node) kill(power bool) error {
	l := n.life.Load()
	if l == nil {
		return nil
	}
	n.life.Store(nil)
	l.host.Die(power)
	l.dead.Store(true)
	if power {
		n.machine.powerOff()
	}
	kept := n.dir + "-kept"
	if err := n.world.still(func() error { return os.CopyFS(kept, os.DirFS(n.dir)) }); err != nil {
		return fmt.Errorf("kill %s: keep its data directory: %w", n.name, err)
	}
	l.stop()
	if err := n.wait(l); err != nil {
		return err
	}
	return errors.Join(restore(n.dir, kept), os.RemoveAll(kept))
}

// restore makes the files of a directory those of another one, and leaves those
// in place that both have.
func restore(dir, kept string) error {
	now, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range now {
		text, err := os.ReadFile(filepath.Join(kept, entry.Name()))
		switch {
		case errors.Is(err, os.ErrNotExist):
			err = os.RemoveAll(filepath.Join(dir, entry.Name()))
		case err == nil:
			err = os.WriteFile(filepath.Join(dir, entry.Name()), text, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// up tells what is wrong with an agent that should be running.
func (n *node) up() error {
	l := n.life.Load()
	if l == nil {
		return nil
	}
	select {
	case <-l.done:
		return fmt.Errorf("%s: %w: %w", n.name, errEnded, l.err)
	default:
		return nil
	}
}
