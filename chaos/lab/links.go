package lab

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// link is one direction between two hosts.
type link struct{ from, to *Host }

// CutOneWay drops everything that one host sends to the other. What the other
// one sends arrives.
func (l *Lab) CutOneWay(from, to *Host) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	direction := link{from, to}
	if l.rules[direction] != nil {
		return nil
	}
	rule := netlink.NewRule()
	rule.Priority, rule.Family, rule.Table = 100, unix.AF_INET, 0
	rule.IifName = from.port
	rule.Dst = &net.IPNet{IP: net.ParseIP(to.Address).To4(), Mask: net.CIDRMask(32, 32)}
	rule.Type = unix.RTN_BLACKHOLE
	if err := l.routes.RuleAdd(rule); err != nil {
		return fmt.Errorf("cut %s off from %s: %w", to.Name, from.Name, err)
	}
	l.rules[direction] = rule
	return nil
}

// Cut drops everything between a host and each of the others.
func (l *Lab) Cut(host *Host, others ...*Host) error {
	var errs []error
	for _, other := range others {
		if other != host {
			errs = append(errs, l.CutOneWay(host, other), l.CutOneWay(other, host))
		}
	}
	return errors.Join(errs...)
}

// Isolate drops everything between a host and all others that there are.
func (l *Lab) Isolate(host *Host) error {
	l.mu.Lock()
	var all []*Host
	for _, other := range l.hosts {
		all = append(all, other)
	}
	l.mu.Unlock()
	return l.Cut(host, all...)
}

// HealOneWay ends the cut of one direction, and no other.
func (l *Lab) HealOneWay(from, to *Host) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heal(link{from, to})
}

// heal ends the cut of one direction; l.mu is held.
func (l *Lab) heal(direction link) error {
	rule := l.rules[direction]
	if rule == nil {
		return nil
	}
	if err := l.routes.RuleDel(rule); err != nil {
		return fmt.Errorf("heal %s to %s: %w", direction.from.Name, direction.to.Name, err)
	}
	delete(l.rules, direction)
	return nil
}

// Heal ends every cut between one of the hosts and any other; every cut at all
// when no host is named.
func (l *Lab) Heal(hosts ...*Host) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for direction := range l.rules {
		if len(hosts) == 0 || slices.Contains(hosts, direction.from) || slices.Contains(hosts, direction.to) {
			errs = append(errs, l.heal(direction))
		}
	}
	return errors.Join(errs...)
}
