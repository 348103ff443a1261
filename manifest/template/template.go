package template

import (
	"fmt"
	"slices"
)

// Limits of what a template may be and do.
const (
	// MaxTemplate is the longest template, in bytes. It is what a runtime
	// configuration may have.
	MaxTemplate = 1 << 20
	// MaxTags is how many tags a template may have. Reading so many takes tens of
	// milliseconds.
	MaxTags = 20_000
	// MaxDepth is how many blocks may be inside one another, counting each
	// {{else if}} as one inside that before it; and parentheses in a tag.
	MaxDepth = 100
	// MaxSteps is how many values may be looked at and nodes be rendered in one
	// rendering. A rendering that needs all of them takes milliseconds.
	MaxSteps = 200_000
	// DefaultOutput is the longest result of Render, in bytes.
	DefaultOutput = 1 << 20
)

// Template is a parsed template. It never changes, and may be rendered by any
// number of goroutines at once.
type Template struct {
	text  string
	nodes []node
	names []string
}

// Parse reads a template. Its errors are ErrSyntax and ErrLimit.
func Parse(text string) (*Template, error) {
	if len(text) > MaxTemplate {
		return nil, &Error{Line: 1, Column: 1, Kind: ErrLimit, Reason: fmt.Sprintf("the template has %d bytes, and %d are allowed: split it, or move parts that are not templates elsewhere", len(text), MaxTemplate)}
	}
	p := &parser{text: text}
	nodes, end, err := p.body()
	if err != nil {
		return nil, err
	}
	if end.kind != tagEnd {
		return nil, p.stray(end)
	}
	slices.Sort(p.names)
	return &Template{text: text, nodes: nodes, names: slices.Compact(p.names)}, nil
}

// Render renders a template with values to at most DefaultOutput bytes. Its
// errors are ErrUnknownName, ErrType and ErrLimit.
func (t *Template) Render(values Map) (string, error) {
	return t.RenderWithin(values, DefaultOutput)
}

// RenderWithin is Render with a limit of its own for the length of the result,
// in bytes.
func (t *Template) RenderWithin(values Map, limit int) (string, error) {
	r := &rendering{text: t.text, limit: limit}
	if only, ok := t.verbatim(); ok {
		if len(only) > limit {
			return "", r.tooLong(0)
		}
		return only, nil
	}
	r.out = make([]byte, 0, min(len(t.text)+64, max(limit, 0)))
	if err := r.render(t.nodes, &frame{this: values}); err != nil {
		return "", err
	}
	return string(r.out), nil
}

// verbatim returns the text of a template that has nothing to fill in.
func (t *Template) verbatim() (string, bool) {
	switch len(t.nodes) {
	case 0:
		return "", true
	case 1:
		only, ok := t.nodes[0].(text)
		return only.literal, ok
	}
	return "", false
}

// Names returns which of the outermost values the template may ask for, in
// order, each once. Names that a helper computes, and all that {{this}} or
// {{#each @root}} reach, are not among them.
func (t *Template) Names() []string { return slices.Clone(t.names) }
