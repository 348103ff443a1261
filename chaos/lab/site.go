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

	dir      string
	diskSize int64
	mu       sync.Mutex
	disks    map[string]*Disk
}

// NewSite builds a site. Its servers get disks of so many bytes; with 0 bytes
// they have directories, as agents do.
func NewSite(dir string, diskSize int64) (*Site, error) {
	l, err := New(filepath.Join(dir, "disks"))
	if err != nil {
		return nil, err
	}
	s := &Site{Lab: l, dir: dir, diskSize: diskSize, disks: map[string]*Disk{}}
	if s.Client, err = l.Host("client"); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return s, nil
}

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
	if s.diskSize == 0 || !strings.HasPrefix(name, "server-") {
		return place, nil
	}
	disk, err := s.Lab.Disk(name, s.diskSize)
	if err != nil {
		return cluster.Place{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disks[name] = disk
	place.DataDir = filepath.Join(disk.Path, "data")
	return place, nil
}

// Dial connects as the clients do.
func (s *Site) Dial(ctx context.Context, address string) (net.Conn, error) {
	return s.Client.Dial(ctx, address)
}

// Host returns the host of a process.
func (s *Site) Host(p *cluster.Process) (*Host, error) { return s.Lab.Host(p.Name) }

// Disk returns the disk of a server; nil when it has none.
func (s *Site) Disk(p *cluster.Process) *Disk {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.disks[p.Name]
}

// Cut cuts a process off from others, both ways.
func (s *Site) Cut(p *cluster.Process, others ...*cluster.Process) error {
	return s.cut(p, others, func(host, other *Host) error { return s.Lab.Cut(host, other) })
}

// CutOneWay drops what a process sends to others; what they send arrives.
func (s *Site) CutOneWay(p *cluster.Process, others ...*cluster.Process) error {
	return s.cut(p, others, s.Lab.CutOneWay)
}

func (s *Site) cut(p *cluster.Process, others []*cluster.Process, cut func(host, other *Host) error) error {
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
		if err := cut(host, other); err != nil {
			return err
		}
	}
	return nil
}

// Heal ends every cut that concerns one of the processes; all when none is named.
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

// PowerOff turns a server's machine off as a cut cable does: nobody hears of it
// again, nothing more reaches its disk, and what was not flushed is lost.
func (s *Site) PowerOff(p *cluster.Process) error {
	host, err := s.Host(p)
	if err != nil {
		return err
	}
	disk := s.Disk(p)
	if disk == nil {
		return fmt.Errorf("turn %s off: it has no disk of its own", p.Name)
	}
	// In this order nothing that the dying process does is heard by anybody.
	return errors.Join(s.Lab.Isolate(host), disk.PowerOff(), p.Kill())
}

// PowerOn turns the machine on again: its disk and its network. The server is
// not started.
func (s *Site) PowerOn(p *cluster.Process) error {
	return errors.Join(s.Disk(p).PowerOn(), s.Heal(p))
}

// Close takes the site apart; the cluster must have been closed. It may be
// called twice.
func (s *Site) Close() error { return s.Lab.Close() }
