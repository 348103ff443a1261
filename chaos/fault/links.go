package fault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/argosy-cluster/argosy/chaos/lab"
)

// direction is a way between two hosts, by their names.
type direction struct{ from, to string }

// wires are what is cut and healed; a lab is it.
type wires interface {
	Host(name string) (*lab.Host, error)
	CutOneWay(from, to *lab.Host) error
	HealOneWay(from, to *lab.Host) error
}

var _ wires = (*lab.Lab)(nil)

// links are the ways that are cut. Faults that overlap may cut the same one: it
// is healed when the last of them lets it go.
type links struct {
	mu   sync.Mutex
	held map[direction]int
}

// cut cuts ways until they are healed. What could not be cut whole is not cut
// at all.
func (l *links) cut(of wires, ways []direction) (heal func() error, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, way := range ways {
		if err := l.add(of, way); err != nil {
			return nil, errors.Join(err, l.drop(of, ways[:i]))
		}
	}
	var once sync.Once
	return func() (err error) {
		once.Do(func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			err = l.drop(of, ways)
		})
		return err
	}, nil
}

func (l *links) add(of wires, way direction) error {
	if l.held[way] == 0 {
		if err := between(of, way, of.CutOneWay); err != nil {
			return err
		}
	}
	l.held[way]++
	return nil
}

func (l *links) drop(of wires, ways []direction) error {
	var errs []error
	for _, way := range ways {
		l.held[way]--
		if l.held[way] == 0 {
			errs = append(errs, between(of, way, of.HealOneWay))
		}
	}
	return errors.Join(errs...)
}

func between(of wires, way direction, do func(from, to *lab.Host) error) error {
	from, err := of.Host(way.from)
	if err != nil {
		return err
	}
	to, err := of.Host(way.to)
	if err != nil {
		return err
	}
	return do(from, to)
}

// apart are both ways between each of some hosts and each of others.
func apart(some, others []string) []direction {
	var ways []direction
	for _, one := range some {
		for _, other := range others {
			if one != other {
				ways = append(ways, direction{one, other}, direction{other, one})
			}
		}
	}
	return ways
}

// alone are all ways between a host and all others.
func alone(host string, all []string) []direction { return apart([]string{host}, all) }

// onlyTo are the ways to a host, onlyFrom those from it.
func onlyTo(host string, all []string) []direction {
	return slices.DeleteFunc(alone(host, all), func(way direction) bool { return way.to != host })
}

func onlyFrom(host string, all []string) []direction {
	return slices.DeleteFunc(alone(host, all), func(way direction) bool { return way.from != host })
}

// harmOf is what cut ways take: those between servers, and between them and the
// clients.
func harmOf(ways []direction, servers []string) Harm {
	var harm Harm
	concerns := func(name string) bool { return name == ClientHost || slices.Contains(servers, name) }
	for _, way := range ways {
		if concerns(way.from) && concerns(way.to) {
			harm.Cut = append(harm.Cut, [2]string{way.from, way.to})
		}
	}
	return harm
}

func text(ways []direction) string {
	var all []string
	for i, way := range ways {
		if i == 12 {
			all = append(all, fmt.Sprintf("%d more", len(ways)-i))
			break
		}
		all = append(all, way.from+" to "+way.to)
	}
	return strings.Join(all, ", ")
}

// cuts tells whether one of some ways is cut.
func (l *links) cuts(ways ...direction) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(ways, func(way direction) bool { return l.held[way] > 0 })
}
