package template

import (
	"strings"
)

// tag reads the tag at pos, which begins with two braces.
func (p *parser) tag() (tag, error) {
	t := tag{kind: tagValue, start: p.pos}
	if p.tags++; p.tags > MaxTags {
		return t, errorAt(p.text, p.pos, ErrLimit, "the template has more than %d tags: go through a list with {{#each}}, or split it", MaxTags)
	}
	s := &scanner{parser: p, pos: p.pos + 2, tag: p.pos}
	if strings.HasPrefix(p.text[p.pos:], "{{{{") {
		return t, p.fail(p.pos, `raw blocks ({{{{) are not known: to write braces as they are put \ before each {{`)
	}
	t.before = s.take("~")
	if s.take("!") {
		return p.comment(t, s.pos)
	}
	s.space()
	closing := "}}"
	if s.take("{") {
		closing = "}}}"
		t.before = s.take("~") || t.before
		s.space()
	}
	err := s.inside(&t, closing)
	if err != nil {
		return t, err
	}
	return t, s.close(&t, closing)
}

// close reads the end of a tag.
func (s *scanner) close(t *tag, closing string) error {
	s.space()
	if closing == "}}}" && strings.HasPrefix(s.rest(), "}~") {
		s.pos++
		closing = "}}"
	}
	t.after = s.take("~")
	s.space()
	if !s.take(closing) {
		return s.unexpected(closing + " as the end of the tag")
	}
	t.end = s.pos
	return nil
}

// comment reads a comment, of which from is the first character behind the mark.
func (p *parser) comment(t tag, from int) (tag, error) {
	t.kind = tagComment
	rest := p.text[from:]
	if strings.HasPrefix(rest, "--") && !p.shortComments {
		if n, after, ok := longComment(rest[2:]); ok {
			t.after, t.end = after, from+2+n
			return t, nil
		}
		p.shortComments = true
	}
	n := strings.Index(rest, "}}")
	if n < 0 {
		return t, p.fail(t.start, "the comment that begins here has no end: add }}")
	}
	t.after, t.end = strings.HasSuffix(rest[:n], "~"), from+n+2
	return t, nil
}

// longComment finds where a comment ends that may have braces in it, and whether
// a ~ is there.
func longComment(s string) (n int, after, ok bool) {
	for {
		dashes := strings.Index(s[n:], "--")
		if dashes < 0 {
			return 0, false, false
		}
		n += dashes + 2
		tail := strings.TrimPrefix(s[n:], "~")
		if strings.HasPrefix(tail, "}}") {
			end := len(s) - len(tail) + 2
			return end, end > n+2, true
		}
		n--
	}
}

// inside reads what is between the braces of a tag.
func (s *scanner) inside(t *tag, closing string) (err error) {
	at := s.pos
	if closing == "}}" {
		switch {
		case s.take("#"):
			if s.space(); s.take(">") || s.take("*") {
				return s.fail(at, "partial blocks ({{#>) and inline partials ({{#*) are not known: the only partial is {{> indent content=x}}")
			}
			t.kind = tagOpen
			t.call, err = s.call()
			return err
		case s.take("/"):
			t.kind = tagClose
			s.space()
			if t.name = s.identifier(); t.name == "" {
				return s.unexpected("the name of the block to close")
			}
			return nil
		case s.take(">"):
			t.kind = tagPartial
			t.call, err = s.call()
			return err
		case s.take("^"), s.keyword("else"):
			t.kind = tagElse
			if s.space(); !s.atEnd() {
				t.call, err = s.call()
			}
			return err
		case s.take("&"):
			s.space()
		case s.take("*"):
			return s.fail(at, "decorators ({{*) are not known: remove the tag")
		}
	}
	t.value, err = s.value()
	return err
}

// call is a helper's, block's or partial's name with its arguments.
type call struct {
	at   int
	name string
	args []operand
	hash []argument
	// params are the names that a block gives.
	params []string
}

// argument is one name=value.
type argument struct {
	at    int
	name  string
	value operand
}

// call reads a name with its arguments up to the end of a tag.
func (s *scanner) call() (*call, error) {
	s.space()
	c := &call{at: s.pos}
	if c.name = s.identifier(); c.name == "" {
		return nil, s.unexpected("a name")
	}
	if err := s.arguments(c); err != nil {
		return nil, err
	}
	if s.keyword("as") {
		return c, s.params(c)
	}
	return c, nil
}

// params reads |a b|.
func (s *scanner) params(c *call) error {
	s.space()
	if !s.take("|") {
		return s.unexpected("names between bars, as in: as |value key|")
	}
	for {
		s.space()
		if s.take("|") && len(c.params) > 0 {
			return nil
		}
		name := s.identifier()
		if name == "" || len(c.params) == 2 {
			return s.unexpected("one or two names between bars, as in: as |value key|")
		}
		c.params = append(c.params, name)
	}
}

// arguments reads arguments up to the end of the tag, of the parentheses, or as.
func (s *scanner) arguments(c *call) error {
	for {
		s.space()
		if s.atEnd() || strings.HasPrefix(s.rest(), ")") || s.at("as") {
			return nil
		}
		at := s.pos
		if name := s.identifier(); name != "" {
			s.space()
			if s.take("=") {
				s.space()
				v, err := s.operand()
				if err != nil {
					return err
				}
				c.hash = append(c.hash, argument{at: at, name: name, value: v})
				continue
			}
			s.pos = at
		}
		v, err := s.operand()
		if err != nil {
			return err
		}
		c.args = append(c.args, v)
	}
}

// value reads what a tag writes: a path, a helper with arguments, parentheses.
func (s *scanner) value() (operand, error) {
	if strings.HasPrefix(s.rest(), "(") {
		return s.operand()
	}
	at := s.pos
	if name := s.identifier(); name != "" {
		if s.space(); s.pos > at+len(name) && !s.atEnd() {
			s.pos = at
			c, err := s.call()
			if err != nil {
				return nil, err
			}
			return s.invocation(c)
		}
		s.pos = at
	}
	return s.path()
}

// operand reads an argument: a literal, a path, or a helper in parentheses.
func (s *scanner) operand() (operand, error) {
	at, rest := s.pos, s.rest()
	switch {
	case rest == "":
		return nil, s.unexpected("an argument")
	case s.take("("):
		if err := s.enter(at); err != nil {
			return nil, err
		}
		defer func() { s.depth-- }()
		c, err := s.call()
		if err != nil {
			return nil, err
		}
		if s.space(); !s.take(")") {
			return nil, s.unexpected("a closing parenthesis")
		}
		return s.invocation(c)
	case rest[0] == '"' || rest[0] == '\'':
		return s.quoted(rest[0])
	case s.keyword("true"):
		return literal{boolean(true), at}, nil
	case s.keyword("false"):
		return literal{boolean(false), at}, nil
	case s.keyword("null"):
		return literal{null{}, at}, nil
	case rest[0] == '[' && listLiteral(rest[1:]), rest[0] == '{':
		return nil, s.fail(at, "lists and maps cannot be written in a template: put them among the configs")
	}
	if v, n := numberAt(rest); n > 0 {
		s.pos += n
		return literal{v, at}, nil
	}
	return s.path()
}

// listLiteral tells whether what follows a bracket is meant as a list.
func listLiteral(rest string) bool {
	rest = strings.TrimLeft(rest, " \t\r\n")
	if rest == "" {
		return false
	}
	_, n := numberAt(rest)
	return n > 0 || strings.ContainsRune("]\"'[{", rune(rest[0]))
}
