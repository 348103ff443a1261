package mask

import (
	"fmt"
	"slices"
)

// Set is a number of masks, each of them once. It never changes, and may be used by several
// goroutines.
type Set struct {
	masks []Mask
	// selects is what the masks name, shows what belongs to that too.
	selects, shows *step
}

// NewSet returns a set of masks; of none at all it selects nothing.
func NewSet(masks ...Mask) *Set {
	s := &Set{selects: &step{}, shows: &step{}}
	for _, m := range masks {
		if !s.selects.add(m) {
			continue
		}
		s.masks = append(s.masks, m)
		s.shows.add(m)
		for _, other := range m.shown() {
			s.shows.add(other)
		}
	}
	return s
}

// ParseSet reads the masks of a request; no masks are the whole state. Errors
// wrap ErrInvalid.
func ParseSet(texts []string) (*Set, error) {
	if len(texts) > MaxMasks {
		return nil, fmt.Errorf("%w: %d masks in one request, at most %d are allowed: select a field above them, or ask several times", ErrInvalid, len(texts), MaxMasks)
	}
	if len(texts) == 0 {
		return NewSet(Mask{}), nil
	}
	masks := make([]Mask, 0, len(texts))
	for _, text := range texts {
		m, err := Parse(text)
		if err != nil {
			return nil, err
		}
		masks = append(masks, m)
	}
	return NewSet(masks...), nil
}

// Masks returns the masks in the order in which they were given first.
func (s *Set) Masks() []Mask { return slices.Clone(s.masks) }

// Covers tells whether one mask of the set selects everything that m can select,
// whatever stands for the wildcards of m.
func (s *Set) Covers(m Mask) bool {
	active := steps{s.selects}
	for _, segment := range m {
		if active.whole() {
			return true
		}
		if segment != Any {
			active = active.enter(segment)
			continue
		}
		var next steps
		for _, a := range active {
			next = next.with(a.any)
		}
		active = next
	}
	return active.whole()
}

// Overlaps tells whether there can be anything that both m and a mask of the set
// select: wildcards of either can stand for anything.
func (s *Set) Overlaps(m Mask) bool {
	if len(s.masks) == 0 {
		return false
	}
	active := steps{s.selects}
	for _, segment := range m {
		if active.whole() {
			return true
		}
		if segment == Any {
			active = active.below()
		} else {
			active = active.enter(segment)
		}
	}
	// Every step leads to a mask.
	return len(active) > 0
}

// step is a node of the masks' prefixes.
type step struct {
	// end is set where a mask ends: everything below is selected.
	end   bool
	any   *step
	names map[string]*step
}

// add puts a mask below a step, and tells whether it was not there yet.
func (s *step) add(m Mask) bool {
	for _, segment := range m {
		if segment != Any {
			s = s.name(segment)
			continue
		}
		if s.any == nil {
			s.any = &step{}
		}
		s = s.any
	}
	added := !s.end
	s.end = true
	return added
}

// addPath puts a path below a step; a name that is "*" is just that name.
func (s *step) addPath(path []string) {
	for _, name := range path {
		s = s.name(name)
	}
	s.end = true
}

func (s *step) name(name string) *step {
	next, ok := s.names[name]
	if !ok {
		if s.names == nil {
			s.names = map[string]*step{}
		}
		next = &step{}
		s.names[name] = next
	}
	return next
}

// steps are where the masks of a set have come to along one path: no more than
// there are masks, nor than wildcards can part.
type steps []*step

func (active steps) with(s *step) steps {
	if s == nil {
		return active
	}
	return append(active, s)
}

// whole tells whether everything from here on is selected.
func (active steps) whole() bool {
	return slices.ContainsFunc(active, func(s *step) bool { return s.end })
}

// wild tells whether any name is of interest.
func (active steps) wild() bool {
	return slices.ContainsFunc(active, func(s *step) bool { return s.any != nil })
}

// enter returns the steps one name further.
func (active steps) enter(name string) steps {
	if active.whole() {
		return active
	}
	var next steps
	for _, a := range active {
		next = next.with(a.names[name]).with(a.any)
	}
	return next
}
