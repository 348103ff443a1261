package lab

import (
	"errors"
	"fmt"
	"maps"
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

// HealOneWay ends a cut of one direction. Others stay as they are, and so does
// how this one is shaped.
func (l *Lab) HealOneWay(from, to *Host) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mend(link{from, to})
}

// mend ends a cut; l.mu is held.
func (l *Lab) mend(direction link) error {
	if !l.cuts[direction] {
		return nil
	}
	if err := l.fabric.mend(direction); err != nil {
		return fmt.Errorf("heal %s to %s: %w", direction.from.Name, direction.to.Name, err)
	}
	delete(l.cuts, direction)
	return nil
}

// Shape lets what one host sends to the other travel as the link says from now
// on; the zero Link makes it as it was in the beginning. It needs a lab that was
// built with Shaped, and fails with ErrUnable in others.
func (l *Lab) Shape(from, to *Host, how Link) error {
	if err := how.Validate(); err != nil {
		return fmt.Errorf("shape %s to %s: %w", from.Name, to.Name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shape(link{from, to}, how)
}

// shape is Shape; l.mu is held.
func (l *Lab) shape(direction link, how Link) error {
	if l.shapes[direction] == how {
		return nil
	}
	if err := l.fabric.shape(direction, how); err != nil {
		return fmt.Errorf("shape %s to %s: %w", direction.from.Name, direction.to.Name, err)
	}
	if how == (Link{}) {
		delete(l.shapes, direction)
	} else {
		l.shapes[direction] = how
	}
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

// Heal ends every cut between one of the hosts and any other, and how that was
// shaped; everything when no host is named.
func (l *Lab) Heal(hosts ...*Host) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	concerned := map[link]bool{}
	maps.Copy(concerned, l.cuts)
	for direction := range l.shapes {
		concerned[direction] = true
	}
	var errs []error
	for direction := range concerned {
		if len(hosts) == 0 || slices.Contains(hosts, direction.from) || slices.Contains(hosts, direction.to) {
			errs = append(errs, l.mend(direction), l.shape(direction, Link{}))
		}
	}
	return errors.Join(errs...)
}
