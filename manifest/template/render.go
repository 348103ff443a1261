package template

import (
	"strconv"
	"strings"
)

// rendering is one use of a template.
type rendering struct {
	text  string
	out   []byte
	limit int
	steps int
}

// node is one part of a template.
type node interface {
	render(r *rendering, f *frame) error
}

const (
	// bytesPerStep is how many bytes of a text may be looked at for one step.
	bytesPerStep = 256
	// stepsPerKey is how many steps it takes to put one key of a map in its place.
	stepsPerKey = 4
)

func (r *rendering) fail(at operand, kind error, format string, args ...any) error {
	return errorAt(r.text, at.at(), kind, format, args...)
}

// unknown makes the error for a name that is missing.
func (r *rendering) unknown(of operand, f *frame) error {
	return r.fail(of, ErrUnknownName, "%s", of.missing(r, f))
}

// step counts work.
func (r *rendering) step(n, at int) error {
	if r.steps += n; r.steps > MaxSteps {
		return errorAt(r.text, at, ErrLimit, "rendering takes more than %d steps: a block {{#each}} inside another goes through too many values", MaxSteps)
	}
	return nil
}

// write adds to the result.
func (r *rendering) write(s string, at int) error {
	if len(s) > r.limit-len(r.out) {
		return r.tooLong(at)
	}
	r.out = append(r.out, s...)
	return nil
}

func (r *rendering) tooLong(at int) error {
	return errorAt(r.text, at, ErrLimit, "the result is longer than %d bytes, which is all that is allowed: shorten the template or its values", r.limit)
}

func (r *rendering) render(nodes []node, f *frame) error {
	for _, n := range nodes {
		if err := n.render(r, f); err != nil {
			return err
		}
	}
	return nil
}

// text is what stands between tags.
type text struct {
	literal string
	start   int
}

func (t text) render(r *rendering, _ *frame) error {
	if err := r.step(1, t.start); err != nil {
		return err
	}
	return r.write(t.literal, t.start)
}

// output is a tag that writes a value.
type output struct {
	of    operand
	start int
}

func (o output) render(r *rendering, f *frame) error {
	v, err := r.needed(o.of, f)
	if err != nil {
		return err
	}
	return r.writeValue(v, o.start, 0)
}

// asked finds a value; it is nil when a name is missing.
func (r *rendering) asked(of operand, f *frame) (Value, error) {
	if err := r.step(1, of.at()); err != nil {
		return nil, err
	}
	return of.value(r, f)
}

// needed finds a value that may not be missing.
func (r *rendering) needed(of operand, f *frame) (Value, error) {
	v, err := r.asked(of, f)
	if v == nil && err == nil {
		return nil, r.unknown(of, f)
	}
	return v, err
}

// writeValue writes a value as a text: a list in brackets, as YAML has them.
func (r *rendering) writeValue(v Value, at, depth int) error {
	switch v := v.(type) {
	case Text:
		return r.write(string(v), at)
	case boolean:
		return r.write(strconv.FormatBool(bool(v)), at)
	case integer:
		return r.write(strconv.FormatInt(int64(v), 10), at)
	case float:
		return r.write(strconv.FormatFloat(float64(v), 'g', -1, 64), at)
	case null:
		return nil
	case List:
		return r.writeList(v, at, depth+1)
	}
	return errorAt(r.text, at, ErrType, "%s cannot be written as a text: write one of its values, or go through it with {{#each}}", kind(v))
}

func (r *rendering) writeList(l List, at, depth int) error {
	if depth > MaxDepth {
		return errorAt(r.text, at, ErrLimit, "the list to write is more than %d levels deep: make it flatter", MaxDepth)
	}
	if err := r.write("[", at); err != nil {
		return err
	}
	for i, v := range l {
		if i > 0 {
			if err := r.write(", ", at); err != nil {
				return err
			}
		}
		if err := r.step(1, at); err != nil {
			return err
		}
		if err := r.writeValue(v, at, depth); err != nil {
			return err
		}
	}
	return r.write("]", at)
}

// condition is if, unless, or a helper as a block.
type condition struct {
	of              operand
	zero            bool
	then, otherwise []node
}

func (c *condition) render(r *rendering, f *frame) error {
	v, err := r.asked(c.of, f)
	if err != nil {
		return err
	}
	if truthy(v) || c.zero && v == integer(0) {
		return r.render(c.then, f)
	}
	return r.render(c.otherwise, f)
}

// with makes a value this.
type with struct {
	of              operand
	body, otherwise []node
	hasElse         bool
}

func (w *with) render(r *rendering, f *frame) error {
	v, err := r.asked(w.of, f)
	switch {
	case err != nil:
		return err
	case truthy(v):
		return r.render(w.body, &frame{this: v, params: [2]Value{v}, outer: f})
	case w.hasElse:
		return r.render(w.otherwise, f)
	case v == nil:
		return r.unknown(w.of, f)
	}
	return r.fail(w.of, ErrType, "{{#with}} is given %s that is empty or false: add {{else}} if that may be", kind(v))
}

// each goes through a list or a map.
type each struct {
	of              operand
	body, otherwise []node
	hasElse         bool
}

func (e *each) render(r *rendering, f *frame) error {
	v, err := r.asked(e.of, f)
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case List:
		if len(v) > 0 || !e.hasElse {
			return e.list(r, v, f)
		}
	case Map:
		if len(v) > 0 || !e.hasElse {
			return e.entries(r, v, f)
		}
	}
	switch {
	case e.hasElse:
		return r.render(e.otherwise, f)
	case v == nil:
		return r.unknown(e.of, f)
	}
	return r.fail(e.of, ErrType, "{{#each}} goes through a list or a map, and this is %s: add {{else}} if that may be", kind(v))
}

func (e *each) list(r *rendering, l List, outer *frame) error {
	f := &frame{outer: outer, size: len(l)}
	for i, v := range l {
		if err := r.step(1, e.of.at()); err != nil {
			return err
		}
		f.this, f.index = v, i
		f.params = [2]Value{v, integer(i)}
		if err := r.render(e.body, f); err != nil {
			return err
		}
	}
	return nil
}

func (e *each) entries(r *rendering, m Map, outer *frame) error {
	if err := r.step(stepsPerKey*len(m), e.of.at()); err != nil {
		return err
	}
	f := &frame{outer: outer, size: len(m), keyed: true}
	for i, key := range sortedKeys(m) {
		f.this, f.index, f.key = m[key], i, key
		f.params = [2]Value{m[key], Text(key)}
		if err := r.render(e.body, f); err != nil {
			return err
		}
	}
	return nil
}

// indented is the partial that indents.
type indented struct {
	content operand
	start   int
	indent  string
	// first tells that the first line wants its indent, too: the white space
	// before a tag that is alone on its line is gone.
	first bool
}

func (n *indented) render(r *rendering, f *frame) error {
	v, err := r.needed(n.content, f)
	if err != nil {
		return err
	}
	before := len(r.out)
	content, plain := v.(Text)
	if !plain {
		if err := r.writeValue(v, n.start, 0); err != nil {
			return err
		}
		content, r.out = Text(r.out[before:]), r.out[:before]
	}
	return n.write(r, string(content))
}

// write writes a text line by line. Handlebars puts nothing in front of an empty
// first line, and nothing behind the last line's end.
func (n *indented) write(r *rendering, content string) error {
	wanted := n.first && !strings.HasPrefix(content, "\n") && !strings.HasPrefix(content, "\r")
	for content != "" {
		if wanted {
			if err := r.write(n.indent, n.start); err != nil {
				return err
			}
		}
		wanted = true
		line := content
		if i := strings.IndexByte(content, '\n'); i >= 0 {
			line = content[:i+1]
		}
		content = content[len(line):]
		if err := r.write(line, n.start); err != nil {
			return err
		}
	}
	return nil
}
