package template

import (
	"maps"
	"slices"
)

// block is what a block's head and bodies say.
type block struct {
	name string
	of   operand
	// context tells that this is another inside, loop that there are @names, too.
	context, loop bool
	// negate tells that the first body is for what is false; zero, that the
	// number 0 is true.
	negate, zero bool

	then, otherwise []node
	hasElse         bool
}

// blocks are how many names each of the blocks gives that is no helper.
var blocks = map[string]int{"if": 0, "unless": 0, "with": 1, "each": 2}

// head checks the head of a block.
func (p *parser) head(c *call) (block, error) {
	b := block{name: c.name}
	most, ok := blocks[c.name]
	if !ok {
		return p.deciding(c, b)
	}
	if len(c.params) > most {
		return b, p.fail(c.at, "{{#%s}} gives %d names at most, not %d", c.name, most, len(c.params))
	}
	b.negate = c.name == "unless"
	b.loop = c.name == "each"
	b.context = most > 0
	if !b.context && len(c.hash) == 1 && c.hash[0].name == "includeZero" {
		zero, ok := c.hash[0].value.(literal)
		if _, decides := zero.v.(boolean); !ok || !decides {
			return b, p.fail(c.hash[0].at, "includeZero is true or false")
		}
		b.zero, c.hash = zero.v == boolean(true), nil
	}
	if err := p.check(c, 1, 1); err != nil {
		return b, err
	}
	b.of = c.args[0]
	return b, nil
}

// deciding makes a block of a helper that answers true or false.
func (p *parser) deciding(c *call, b block) (block, error) {
	if h, ok := helpers[c.name]; !ok || !h.decides {
		known := slices.Collect(maps.Keys(blocks))
		for name, h := range helpers {
			if h.decides {
				known = append(known, name)
			}
		}
		slices.Sort(known)
		return b, p.fail(c.at, "there is no block %s: known are %s", quote(c.name), list(known))
	}
	of, err := p.invocation(c)
	b.of = of
	return b, err
}

// node makes a node of a block that is read to its end.
func (b block) node() node {
	switch b.name {
	case "each":
		return &each{of: b.of, body: b.then, otherwise: b.otherwise, hasElse: b.hasElse}
	case "with":
		return &with{of: b.of, body: b.then, otherwise: b.otherwise, hasElse: b.hasElse}
	}
	if b.negate {
		b.then, b.otherwise = b.otherwise, b.then
	}
	return &condition{of: b.of, zero: b.zero, then: b.then, otherwise: b.otherwise}
}

// partial makes a node of a tag of a partial.
func (p *parser) partial(t tag, indent string, alone bool) (node, error) {
	c := t.call
	switch {
	case c.name != "indent":
		return nil, p.fail(c.at, "there is no partial %s: the only one is {{> indent content=x}}", quote(c.name))
	case len(c.args) > 0 || len(c.params) > 0 || len(c.hash) != 1 || c.hash[0].name != "content":
		return nil, p.fail(c.at, "indent takes content=x and nothing else")
	}
	if t.before {
		indent = ""
	}
	return &indented{content: c.hash[0].value, start: t.start, indent: indent, first: alone}, nil
}
