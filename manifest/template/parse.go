package template

import (
	"fmt"
	"strings"
	"unicode"
)

// parser goes through a text once, from tag to tag.
type parser struct {
	text  string
	pos   int
	depth int
	tags  int
	// scopes are the blocks around pos that change what this is, outermost first.
	scopes []scope
	// trim is what the tag before pos takes from the text after it.
	trim trim
	// shortComments is set when no "--}}" is left. Without it each comment could
	// be searched for one to the end.
	shortComments bool
	// names are those of the outermost values, as they are met.
	names []string
}

// scope is a block that changes what this is.
type scope struct {
	loop   bool
	params []string
}

type trim int

const (
	trimNothing trim = iota
	// trimLine takes white space on the line of the tag, and the line's end.
	trimLine
	// trimAll takes all white space.
	trimAll
)

type tagKind int

const (
	tagEnd tagKind = iota // the end of the text
	tagValue
	tagPartial
	tagComment
	tagOpen
	tagElse
	tagClose
)

// tag is one pair of braces with what is in it.
type tag struct {
	kind       tagKind
	start, end int
	// before and after say whether a ~ takes white space on that side.
	before, after bool
	// value is that of a tagValue.
	value operand
	// call is what a tagOpen, a tagPartial or an {{else if}} says.
	call *call
	// name is that of a tagClose.
	name string
}

func (p *parser) fail(at int, format string, args ...any) *Error {
	return errorAt(p.text, at, ErrSyntax, format, args...)
}

// body reads up to the tag that ends a body: else, close, or the end.
func (p *parser) body() ([]node, tag, error) {
	var nodes []node
	for {
		literal, found := p.literal()
		t := tag{kind: tagEnd, start: len(p.text), end: len(p.text)}
		if found {
			var err error
			if t, err = p.tag(); err != nil {
				return nil, tag{}, err
			}
		}
		indent, alone := p.standalone(t)
		if literal = p.trimmed(literal, t, alone); literal != "" {
			nodes = append(nodes, text{literal: literal, start: t.start})
		}
		p.pos = t.end
		switch t.kind {
		case tagEnd, tagElse, tagClose:
			return nodes, t, nil
		case tagValue:
			nodes = append(nodes, output{of: t.value, start: t.start})
		case tagPartial:
			partial, err := p.partial(t, indent, alone)
			if err != nil {
				return nil, tag{}, err
			}
			nodes = append(nodes, partial)
		case tagOpen:
			n, end, err := p.block(t)
			if err != nil {
				return nil, tag{}, err
			}
			if end.kind == tagEnd {
				return nil, tag{}, p.fail(t.start, "{{#%s}} is not closed: add {{/%s}}", t.call.name, t.call.name)
			}
			if end.name != t.call.name {
				return nil, tag{}, p.fail(end.start, "{{/%s}} closes nothing here: {{#%s}} of %s is open", shorten(end.name), t.call.name, p.place(t.start))
			}
			nodes = append(nodes, n)
		}
	}
}

// place says where an offset is.
func (p *parser) place(at int) string {
	e := p.fail(at, "")
	return fmt.Sprintf("line %d, column %d", e.Line, e.Column)
}

// literal returns the text up to the next tag, and moves to that. A backslash
// before braces makes them text, two make one that stands before a tag.
func (p *parser) literal() (literal string, found bool) {
	var escaped strings.Builder
	from := p.pos
	for search := p.pos; ; {
		i := strings.Index(p.text[search:], "{{")
		if i < 0 {
			literal, p.pos = p.text[from:], len(p.text)
			break
		}
		i += search
		slashes := i - len(strings.TrimRight(p.text[from:i], `\`)) - from
		if slashes == 0 {
			literal, p.pos, found = p.text[from:i], i, true
			break
		}
		escaped.WriteString(p.text[from : i-1])
		from = i
		if slashes > 1 {
			p.pos, found = i, true
			break
		}
		if search = i + 2; strings.HasPrefix(p.text[search:], "{{") {
			search += 2
		}
	}
	if escaped.Len() > 0 {
		return escaped.String() + literal, found
	}
	return literal, found
}

// standalone tells whether a tag that leaves nothing behind is alone on its
// lines, and what white space stands before it.
func (p *parser) standalone(t tag) (indent string, alone bool) {
	before := strings.TrimRight(p.text[:t.start], " \t")
	indent = p.text[len(before):t.start]
	if t.kind == tagEnd || t.kind == tagValue {
		return indent, false
	}
	if before != "" && before[len(before)-1] != '\n' {
		return indent, false
	}
	_, ends := cutLine(p.text[t.end:])
	return indent, ends || t.end == len(p.text)
}

// cutLine takes white space and the line's end off a text, if that is all that
// is on its first line.
func cutLine(s string) (rest string, ok bool) {
	rest = strings.TrimPrefix(strings.TrimLeft(s, " \t"), "\r")
	if strings.HasPrefix(rest, "\n") {
		return rest[1:], true
	}
	return s, false
}

// trimmed takes from a text between two tags what they take, and remembers what
// the second takes from what follows it.
func (p *parser) trimmed(literal string, t tag, alone bool) string {
	switch p.trim {
	case trimAll:
		literal = strings.TrimLeftFunc(literal, unicode.IsSpace)
	case trimLine:
		literal, _ = cutLine(literal)
	}
	switch {
	case t.before:
		literal = strings.TrimRightFunc(literal, unicode.IsSpace)
	case alone:
		literal = strings.TrimRight(literal, " \t")
	}
	switch {
	case t.after:
		p.trim = trimAll
	case alone:
		p.trim = trimLine
	default:
		p.trim = trimNothing
	}
	return literal
}

// stray says why a tag may not be where it is, outside of all blocks.
func (p *parser) stray(t tag) error {
	if t.kind == tagClose {
		return p.fail(t.start, "{{/%s}} closes nothing: no block is open; remove it, or begin one with {{#%s ...}}", shorten(t.name), shorten(t.name))
	}
	return p.fail(t.start, "{{else}} belongs into a block such as {{#if x}}: none is open here; for what holds when x is empty write {{#unless x}}")
}

// enter counts one level of depth.
func (p *parser) enter(at int) error {
	if p.depth++; p.depth > MaxDepth {
		return errorAt(p.text, at, ErrLimit, "more than %d levels are inside one another: make the template flatter", MaxDepth)
	}
	return nil
}

// block reads the bodies of a block, up to the tag that closes it, or the end.
func (p *parser) block(open tag) (node, tag, error) {
	if err := p.enter(open.start); err != nil {
		return nil, tag{}, err
	}
	defer func() { p.depth-- }()
	b, err := p.head(open.call)
	if err != nil {
		return nil, tag{}, err
	}
	around := p.scopes
	if b.context {
		p.scopes = append(p.scopes, scope{loop: b.loop, params: open.call.params})
	}
	then, end, err := p.body()
	if err != nil {
		return nil, tag{}, err
	}
	b.then, p.scopes = then, around
	if end.kind == tagElse {
		if end, err = p.otherwise(&b, end); err != nil {
			return nil, tag{}, err
		}
	}
	return b.node(), end, nil
}

// otherwise reads what follows an else.
func (p *parser) otherwise(b *block, sep tag) (tag, error) {
	b.hasElse = true
	if sep.call != nil {
		n, end, err := p.block(sep)
		b.otherwise = []node{n}
		return end, err
	}
	nodes, end, err := p.body()
	if err != nil {
		return tag{}, err
	}
	if end.kind == tagElse {
		return tag{}, p.fail(end.start, "a block has one {{else}}, as its last part: the one before was at %s", p.place(sep.start))
	}
	b.otherwise = nodes
	return end, nil
}
