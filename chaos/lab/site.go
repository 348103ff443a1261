package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"

	"github.com/argosy-cluster/argosy/chaos/cluster"
)

// Site is a lab for one cluster: every server and agent has a host of its own,
// every server a disk too, and the clients have a host.
type Site struct {
	// Lab is where all of them are.
	Lab *Lab
	// Client is the host that clients connect from.
	Client *Host

	dir    string
	config SiteConfig
	mu     sync.Mutex
	disks  map[string]*Disk
}

// SiteConfig says what machines a site has.
type SiteConfig struct {
	// DiskSize is the size of each server's disk in bytes, AgentDiskSize that of
	// each agent's. With 0 they have directories instead.
	DiskSize, AgentDiskSize int64
	// Shaped joins the hosts by a switch in user space, which Shape needs. Seed is
	// that of its chance.
	Shaped bool
	Seed   uint64
}

// NewSite builds a site.
func NewSite(dir string, config SiteConfig) (*Site, error) {
	var options []Option
	if config.Shaped {
		options = append(options, Shaped(config.Seed))
	}
	l, err := New(filepath.Join(dir, "disks"), options...)
	if err != nil {
		return nil, err
	}
	s := &Site{Lab: l, dir: dir, config: config, disks: map[string]*Disk{}}
	if s.Client, err = l.Host("client"); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return s, nil
}

// Shaped tells whether packets can be delayed and lost.
func (s *Site) Shaped() bool { return s.config.Shaped }

// Use lets a cluster be built on the site.
func (s *Site) Use(config *cluster.Config) {
	config.Place, config.Dial = s.place, s.Client.Dial
}

func (s *Site) place(name string) (cluster.Place, error) {
	host, err := s.Lab.Host(name)
	if err != nil {
		return cluster.Place{}, err
	}
	place := cluster.Place{Host: host.Address, DataDir: filepath.Join(s.dir, name), Start: host.Start}
	size := s.config.AgentDiskSize
	if isServer(name) {
		size = s.config.DiskSize
	}
	if size == 0 {
		return place, nil
	}
	disk, err := s.Lab.Disk(name, size)
	if err != nil {
		return cluster.Place{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disks[name] = disk
	place.DataDir = filepath.Join(disk.Path, "data")
	return place, nil
}

// isServer tells servers from agents by the names that package cluster gives.
func isServer(name string) bool { return strings.HasPrefix(name, "server-") }

// Dial connects as the clients do.
func (s *Site) Dial(ctx context.Context, address string) (net.Conn, error) {
	return s.Client.Dial(ctx, address)
}

// Host returns the host of a process.
func (s *Site) Host(p *cluster.Process) (*Host, error) { return s.Lab.Host(p.Name) }

// Disk returns the disk of a process; nil when it has none.
func (s *Site) Disk(p *cluster.Process) *Disk {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.disks[p.Name]
}

// Data returns the data directory of a process as this one sees it, to tamper
// with it. It changes when a disk is mounted again.
func (s *Site) Data(p *cluster.Process) string {
	if disk := s.Disk(p); disk != nil {
		return filepath.Join(disk.Outside(), "data")
	}
	return p.DataDir
}

// Cut cuts a process off from others, both ways.
func (s *Site) Cut(p *cluster.Process, others ...*cluster.Process) error {
	return s.each(p, others, func(host, other *Host) error { return s.Lab.Cut(host, other) })
}

// CutOneWay drops what a process sends to others; what they send arrives.
func (s *Site) CutOneWay(p *cluster.Process, others ...*cluster.Process) error {
	return s.each(p, others, s.Lab.CutOneWay)
}

// HealOneWay ends the cuts of what a process sends to others; all else stays.
func (s *Site) HealOneWay(p *cluster.Process, others ...*cluster.Process) error {
	return s.each(p, others, s.Lab.HealOneWay)
}

func (s *Site) each(p *cluster.Process, others []*cluster.Process, do func(host, other *Host) error) error {
	host, err := s.Host(p)
	if err != nil {
		return err
	}
	for _, each := range others {
		other, err := s.Host(each)
		if err != nil {
			return err
		}
		if other == host {
			continue
		}
		if err := do(host, other); err != nil {
			return err
		}
	}
	return nil
}

// Shape lets what one process sends to another travel as the link says.
func (s *Site) Shape(from, to *cluster.Process, how Link) error {
	return s.each(from, []*cluster.Process{to}, func(from, to *Host) error { return s.Lab.Shape(from, to, how) })
}

// ShapeAll lets everything travel as the link says between any two hosts that
// there are, the clients' too.
func (s *Site) ShapeAll(how Link) error {
	hosts := s.Lab.Hosts()
	for _, from := range hosts {
		for _, to := range hosts {
			if from == to {
				continue
			}
			if err := s.Lab.Shape(from, to, how); err != nil {
				return err
			}
		}
	}
	return nil
}

// Heal ends every cut that concerns one of the processes, and how their links
// were shaped; all when none is named.
func (s *Site) Heal(processes ...*cluster.Process) error {
	var hosts []*Host
	for _, p := range processes {
		host, err := s.Host(p)
		if err != nil {
			return err
		}
		hosts = append(hosts, host)
	}
	return s.Lab.Heal(hosts...)
}

// PowerOff turns the machine of a process off as a cut cable does: nobody hears
// of it again, nothing more reaches its disk, what was not flushed is lost, and
// everything on it has ended, the workloads of an agent too.
func (s *Site) PowerOff(p *cluster.Process) error {
	host, err := s.Host(p)
	if err != nil {
		return err
	}
	disk := s.Disk(p)
	if disk == nil && isServer(p.Name) {
		return fmt.Errorf("turn %s off: it has no disk of its own", p.Name)
	}
	// In this order nothing that the dying process does is heard by anybody.
	if err := host.goDark(); err != nil {
		return err
	}
	if disk != nil {
		if err := disk.PowerOff(); err != nil {
			return err
		}
	}
	if err := p.Kill(); err != nil && !errors.Is(err, cluster.ErrNotRunning) {
		return err
	}
	return host.KillAll()
}

// PowerOn turns the machine on again: its disk and its network. Nothing is
// started, and what was cut stays cut.
func (s *Site) PowerOn(p *cluster.Process) error {
	host, err := s.Host(p)
	if err != nil {
		return err
	}
	if disk := s.Disk(p); disk != nil {
		if err := disk.PowerOn(); err != nil {
			return err
		}
	}
	return host.PowerOn()
}

// Close takes the site apart; the cluster must have been closed. It may be
// called twice.
func (s *Site) Close() error { return s.Lab.Close() }
