package lab

import (
	"errors"
	"fmt"
	"slices"
)

// CutOneWay drops everything that one host sends to the other. What the other
// one sends arrives.
func (l *Lab) CutOneWay(from, to *Host) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	direction := link{from, to}
	if l.cuts[direction] {
		return nil
	}
	if err := l.fabric.cut(direction); err != nil {
		return fmt.Errorf("cut %s off from %s: %w", to.Name, from.Name, err)
	}
	l.cuts[direction] = true
	return nil
}

// HealOneWay ends a cut of one direction, and how it was shaped; others stay as
// they are.
func (l *Lab) HealOneWay(from, to *Host) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heal(link{from, to})
}

// heal makes a direction as it was in the beginning; l.mu is held.
func (l *Lab) heal(direction link) error {
	if !l.cuts[direction] {
		return nil
	}
	if err := l.fabric.mend(direction); err != nil {
		return fmt.Errorf("heal %s to %s: %w", direction.from.Name, direction.to.Name, err)
	}
	delete(l.cuts, direction)
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
func (l *Lab) Isolate(host *Host) error { return l.Cut(host, l.Hosts()...) }

// Heal ends every cut between one of the hosts and any other; every cut at all
// when no host is named.
func (l *Lab) Heal(hosts ...*Host) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for direction := range l.cuts {
		if len(hosts) == 0 || slices.Contains(hosts, direction.from) || slices.Contains(hosts, direction.to) {
			errs = append(errs, l.heal(direction))
		}
	}
	return errors.Join(errs...)
}
