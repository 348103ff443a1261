package template

import (
	"fmt"
	"strings"
)

// operand is what has a value in a rendering.
type operand interface {
	// value finds the value; it is nil when a name is missing.
	value(r *rendering, f *frame) (Value, error)
	// missing says which name is missing, and what there is instead.
	missing(r *rendering, f *frame) string
	// at is where it stands in the template.
	at() int
}

// literal is a value that stands in the template.
type literal struct {
	v     Value
	start int
}

func (l literal) value(*rendering, *frame) (Value, error) { return l.v, nil }
func (l literal) missing(*rendering, *frame) string       { return "" }
func (l literal) at() int                                 { return l.start }

// base is what a path begins from.
type base int

const (
	baseThis base = iota
	baseParam
	baseIndex
	baseKey
	baseFirst
	baseLast
	// baseNone is an @name of each that no each is around.
	baseNone
)

// locals are the @names of each.
var locals = map[string]base{"index": baseIndex, "key": baseKey, "first": baseFirst, "last": baseLast}

// path is a name, or several that lead from one value into the next.
type path struct {
	start int
	// written is the path as it stands in the template.
	written string
	base    base
	// up is how many frames out it begins.
	up int
	// param is which block parameter it begins from.
	param int
	names []string
}

func (p *path) at() int { return p.start }

// path reads a path.
func (s *scanner) path() (*path, error) {
	p := &path{start: s.pos}
	bare := true
	local, root := s.take("@"), false
	if local && strings.HasPrefix(s.rest(), "root") && !nameAt(s.text, s.pos+len("root")) {
		s.pos += len("root")
		local, root, bare = false, true, false
		p.up = len(s.scopes)
		s.separator()
	}
	for s.dots("..") {
		p.up, bare = p.up+1, false
	}
	p.up = min(p.up, len(s.scopes))
	if bare && !local && s.dots(".") {
		bare = false
	}
	if err := s.names(p, local, &bare); err != nil {
		return nil, err
	}
	p.written = s.text[p.start:s.pos]
	switch {
	case local:
		return p, s.local(p)
	case bare && !root && len(p.names) > 0 && s.param(p):
	case p.up == len(s.scopes) && len(p.names) > 0:
		s.parser.names = append(s.parser.names, p.names[0])
	}
	return p, nil
}

// names reads the names of a path. One that begins with this is not bare.
func (s *scanner) names(p *path, local bool, bare *bool) error {
	for first := true; ; first = false {
		name, key := "", s.take("[")
		if key {
			end := strings.IndexByte(s.rest(), ']')
			if end < 0 {
				return s.fail(s.pos-1, "the bracket that begins here has no end: add ]")
			}
			name = s.rest()[:end]
			s.pos += end + 1
		} else {
			name = s.identifier()
		}
		switch {
		case name == "" && !key:
			if first && !local && s.pos > p.start {
				return nil // only dots, or @root
			}
			return s.unexpected("a name")
		case name == "this" && !key:
			*bare = *bare && !first
		default:
			p.names = append(p.names, name)
		}
		if !s.separator() {
			return nil
		}
	}
}

// separator moves behind what separates the names of a path.
func (s *scanner) separator() bool { return s.take(".") || s.take("/") }

// dots moves behind a part of a path that is only dots, and its separator.
func (s *scanner) dots(dots string) bool {
	rest, ok := strings.CutPrefix(s.rest(), dots)
	switch {
	case !ok || strings.HasPrefix(rest, "."):
		return false
	case strings.HasPrefix(rest, "/"):
		s.pos += len(dots) + 1
		return true
	case rest == "" || strings.ContainsRune(" \t\r\n})~", rune(rest[0])):
		s.pos += len(dots)
		return true
	}
	return false
}

// local resolves an @name: it is that of the nearest each around.
func (s *scanner) local(p *path) error {
	b, ok := baseNone, false
	if len(p.names) == 1 {
		b, ok = locals[p.names[0]]
	}
	if !ok {
		return s.fail(p.start, "%s is no name that a block sets: known are @root, and inside {{#each}} @index, @key, @first and @last", quote(p.written))
	}
	p.base, p.names = b, nil
	for p.up < len(s.scopes) && !s.scopes[len(s.scopes)-1-p.up].loop {
		p.up++
	}
	if p.up == len(s.scopes) {
		p.base, p.up = baseNone, 0
	}
	return nil
}

// param finds the block parameter that a path begins with.
func (s *scanner) param(p *path) bool {
	for up := range s.scopes {
		for i, name := range s.scopes[len(s.scopes)-1-up].params {
			if name == p.names[0] {
				p.base, p.up, p.param, p.names = baseParam, up, i, p.names[1:]
				return true
			}
		}
	}
	return false
}

// frame is what a block that changes this sets: one round of each, or with.
type frame struct {
	this   Value
	outer  *frame
	params [2]Value
	// key is that of a map's entry, "" in a list; keyed tells them apart.
	key         string
	keyed       bool
	index, size int
}

func (f *frame) out(n int) *frame {
	for ; n > 0; n-- {
		f = f.outer
	}
	return f
}

func (p *path) value(r *rendering, f *frame) (Value, error) {
	if err := r.step(1+len(p.names), p.start); err != nil {
		return nil, err
	}
	v := p.from(f.out(p.up))
	for _, name := range p.names {
		v = field(v, name)
	}
	return v, nil
}

// from returns the value that a path begins from.
func (p *path) from(f *frame) Value {
	switch p.base {
	case baseThis:
		return f.this
	case baseParam:
		return f.params[p.param]
	case baseIndex:
		return integer(f.index)
	case baseFirst:
		return boolean(f.index == 0)
	case baseLast:
		return boolean(f.index == f.size-1)
	case baseKey:
		if f.keyed {
			return Text(f.key)
		}
	}
	return nil
}

func (p *path) missing(_ *rendering, f *frame) string {
	from := f.out(p.up)
	v := p.from(from)
	if v == nil {
		switch p.base {
		case baseNone:
			return fmt.Sprintf("%s has a value only inside {{#each}}", quote(p.written))
		case baseKey:
			return fmt.Sprintf("%s has a value only when {{#each}} goes through a map; in a list use @index", quote(p.written))
		}
		return fmt.Sprintf("%s has no value", quote(p.written))
	}
	i := 0
	for next := field(v, p.names[0]); next != nil; next = field(v, p.names[i]) {
		v, i = next, i+1
	}
	name := p.names[i]
	reason := fmt.Sprintf("%s is not among the values", quote(name))
	if quote(name) != quote(p.written) {
		reason = fmt.Sprintf("%s of %s is not among the values", quote(name), quote(p.written))
	}
	reason += ": " + names(v)
	if i == 0 && p.base == baseThis && from.outer != nil && field(from.outermost().this, name) != nil {
		reason += fmt.Sprintf("; the outermost values have it: write @root.%s", name)
	}
	return reason
}

func (f *frame) outermost() *frame {
	for f.outer != nil {
		f = f.outer
	}
	return f
}

// names says what could be asked of a value.
func names(v Value) string {
	switch v := v.(type) {
	case Map:
		if len(v) == 0 {
			return "there are none"
		}
		return "names are " + list(sortedKeys(v))
	case List:
		if len(v) == 0 {
			return "the list is empty"
		}
		return fmt.Sprintf("the list has the positions 0 to %d", len(v)-1)
	}
	return fmt.Sprintf("it is asked of %s, which has no names", kind(v))
}
