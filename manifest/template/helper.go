package template

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// helper computes a value from others.
type helper struct {
	// least and most are how many arguments it takes.
	least, most int
	// lenient helpers take a missing name for false.
	lenient bool
	// decides tells that it answers true or false, and so may be a block.
	decides bool
	// result is nil when there is nothing such.
	result func(r *rendering, at operand, args []Value) (Value, error)
}

// helpers are all there are.
var helpers = map[string]helper{
	"eq":     {least: 2, most: 2, decides: true, result: equality(true)},
	"ne":     {least: 2, most: 2, decides: true, result: equality(false)},
	"gt":     {least: 2, most: 2, decides: true, result: order(func(c int) bool { return c > 0 })},
	"gte":    {least: 2, most: 2, decides: true, result: order(func(c int) bool { return c >= 0 })},
	"lt":     {least: 2, most: 2, decides: true, result: order(func(c int) bool { return c < 0 })},
	"lte":    {least: 2, most: 2, decides: true, result: order(func(c int) bool { return c <= 0 })},
	"not":    {least: 1, most: 1, decides: true, result: not},
	"and":    {least: 1, most: MaxTemplate, decides: true, lenient: true, result: and},
	"or":     {least: 1, most: MaxTemplate, decides: true, lenient: true, result: or},
	"len":    {least: 1, most: 1, result: length},
	"lookup": {least: 2, most: 2, result: lookup},
}

// invocation is a helper with its arguments.
type invocation struct {
	helper
	start int
	name  string
	args  []operand
}

// invocation checks a call of a helper.
func (p *parser) invocation(c *call) (*invocation, error) {
	h, ok := helpers[c.name]
	switch {
	case !ok:
		return nil, p.fail(c.at, "there is no helper %s: known are %s", quote(c.name), list(slices.Sorted(maps.Keys(helpers))))
	case len(c.params) > 0:
		return nil, p.fail(c.at, "'as |...|' belongs to {{#each}} and {{#with}}: %s gives nothing a name", c.name)
	}
	if err := p.check(c, h.least, h.most); err != nil {
		return nil, err
	}
	return &invocation{helper: h, start: c.at, name: c.name, args: c.args}, nil
}

// check counts the arguments of a call.
func (p *parser) check(c *call, least, most int) error {
	switch {
	case len(c.hash) > 0:
		return p.fail(c.hash[0].at, "%s knows no argument %s: remove it", c.name, quote(c.hash[0].name))
	case len(c.args) < least || len(c.args) > most:
		wanted := "one argument"
		switch {
		case least == 2:
			wanted = "two arguments"
		case most > least:
			wanted = "one or more arguments"
		}
		return p.fail(c.at, "%s takes %s, not %d", c.name, wanted, len(c.args))
	}
	return nil
}

func (i *invocation) at() int { return i.start }

func (i *invocation) value(r *rendering, f *frame) (Value, error) {
	var room [2]Value
	args := room[:0]
	for _, a := range i.args {
		v, err := a.value(r, f)
		switch {
		case err != nil:
			return nil, err
		case v == nil && i.lenient:
			v = null{}
		case v == nil:
			return nil, r.unknown(a, f)
		}
		args = append(args, v)
	}
	if err := r.step(1+len(args), i.start); err != nil {
		return nil, err
	}
	return i.result(r, i, args)
}

// missing explains what lookup did not find.
func (i *invocation) missing(r *rendering, f *frame) string {
	in, err := i.args[0].value(r, f)
	if err != nil {
		return err.Error()
	}
	return "lookup finds nothing: " + names(in) + "; a list is asked by number, a map by text"
}

func equality(wanted bool) func(*rendering, operand, []Value) (Value, error) {
	return func(r *rendering, at operand, args []Value) (Value, error) {
		same, err := r.equal(at, args[0], args[1], 0)
		return boolean(same == wanted), err
	}
}

// equal compares two values. A number never equals a text.
func (r *rendering) equal(at operand, a, b Value, depth int) (bool, error) {
	switch a := a.(type) {
	case Text:
		b, ok := b.(Text)
		return ok && a == b, r.step(1+min(len(a), len(b))/bytesPerStep, at.at())
	case List:
		b, ok := b.(List)
		if !ok || len(a) != len(b) {
			return false, nil
		}
		for i := range a {
			if same, err := r.equalIn(at, a[i], b[i], depth); !same || err != nil {
				return false, err
			}
		}
		return true, nil
	case Map:
		b, ok := b.(Map)
		if !ok || len(a) != len(b) {
			return false, nil
		}
		if err := r.step(stepsPerKey*len(a), at.at()); err != nil {
			return false, err
		}
		for _, key := range sortedKeys(a) {
			if same, err := r.equalIn(at, a[key], b[key], depth); !same || err != nil {
				return false, err
			}
		}
		return true, nil
	}
	return a == b, nil
}

// equalIn compares what is in two values.
func (r *rendering) equalIn(at operand, a, b Value, depth int) (bool, error) {
	if depth++; depth > MaxDepth {
		return false, r.fail(at, ErrLimit, "the values to compare are more than %d levels deep: make them flatter", MaxDepth)
	}
	if err := r.step(1, at.at()); err != nil {
		return false, err
	}
	return r.equal(at, a, b, depth)
}

func order(holds func(int) bool) func(*rendering, operand, []Value) (Value, error) {
	return func(r *rendering, at operand, args []Value) (Value, error) {
		c, ok := compare(args[0], args[1])
		a, _ := args[0].(Text)
		b, _ := args[1].(Text)
		return boolean(ok && holds(c)), r.step(1+min(len(a), len(b))/bytesPerStep, at.at())
	}
}

// compare puts two values in order: texts by their bytes, numbers, also when one
// of them is a text, and true after false. Nothing else has an order.
func compare(a, b Value) (order int, ok bool) {
	switch x := a.(type) {
	case Text:
		if y, ok := b.(Text); ok {
			return strings.Compare(string(x), string(y)), true
		}
		if !isNumber(b) {
			return 0, false
		}
		a = number(string(x))
	case boolean:
		y, ok := b.(boolean)
		return cmp.Compare(truth(x), truth(y)), ok
	}
	if y, ok := b.(Text); ok && isNumber(a) {
		b = number(string(y))
	}
	x, okX := a.(integer)
	y, okY := b.(integer)
	if okX && okY {
		return cmp.Compare(x, y), true
	}
	return cmp.Compare(real(a), real(b)), isNumber(a) && isNumber(b)
}

func truth(b boolean) int {
	if b {
		return 1
	}
	return 0
}

func isNumber(v Value) bool {
	switch v.(type) {
	case integer, float:
		return true
	}
	return false
}

// real returns a number as one with a fraction.
func real(v Value) float64 {
	switch v := v.(type) {
	case integer:
		return float64(v)
	case float:
		return float64(v)
	}
	return 0
}

func not(_ *rendering, _ operand, args []Value) (Value, error) {
	return boolean(!truthy(args[0])), nil
}

func and(_ *rendering, _ operand, args []Value) (Value, error) {
	return boolean(!slices.ContainsFunc(args, func(v Value) bool { return !truthy(v) })), nil
}

func or(_ *rendering, _ operand, args []Value) (Value, error) {
	return boolean(slices.ContainsFunc(args, truthy)), nil
}

// length counts entries, and the bytes of a text.
func length(_ *rendering, _ operand, args []Value) (Value, error) {
	switch v := args[0].(type) {
	case Text:
		return integer(len(v)), nil
	case List:
		return integer(len(v)), nil
	case Map:
		return integer(len(v)), nil
	}
	return integer(0), nil
}

func lookup(_ *rendering, _ operand, args []Value) (Value, error) {
	switch in := args[0].(type) {
	case List:
		if i, ok := args[1].(integer); ok && 0 <= i && int(i) < len(in) {
			return in[i], nil
		}
	case Map:
		if key, ok := args[1].(Text); ok {
			return in[string(key)], nil
		}
	}
	return nil, nil
}
