package manifest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/printer"
	"github.com/goccy/go-yaml/token"
)

// SyntaxError says where in a text something is wrong, with the line and a
// caret under it.
type SyntaxError struct {
	// Line and Column count from 1.
	Line, Column int
	// Reason is the text for people.
	Reason string
	// Excerpt shows the lines around the place with a caret below it.
	Excerpt string
}

func (e *SyntaxError) Error() string {
	return strings.TrimRight(fmt.Sprintf("line %d, column %d: %s\n%s", e.Line, e.Column, e.Reason, e.Excerpt), "\n")
}

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e *SyntaxError) Unwrap() error { return ErrInvalid }

// errorAt makes an error that points at a token.
func errorAt(tok *token.Token, format string, args ...any) *SyntaxError {
	e := &SyntaxError{Reason: fmt.Sprintf(format, args...)}
	if tok == nil {
		return e
	}
	if tok.Position != nil {
		e.Line, e.Column = tok.Position.Line, tok.Position.Column
	}
	var p printer.Printer
	e.Excerpt = p.PrintErrorToken(tok, false)
	return e
}

// document is one YAML document with the anchors that aliases in it refer to.
// Aliases are followed where a value is read, never expanded, so that a document
// that nests them cannot grow.
type document struct {
	body    ast.Node
	anchors map[string]ast.Node
}

// parseDocuments reads a text that may hold several documents. The parser is
// known to panic on some texts; a text of a user must not end a server.
func parseDocuments(text []byte) (docs []*document, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			docs, err = nil, fmt.Errorf("%w: the YAML parser fails on it: %v", ErrInvalid, cause)
		}
	}()
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			return nil, errorAt(syntax.GetToken(), "%s", syntax.GetMessage())
		}
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		d := &document{body: doc.Body, anchors: map[string]ast.Node{}}
		ast.Walk(anchorVisitor(d.anchors), doc.Body)
		docs = append(docs, d)
	}
	return docs, nil
}

type anchorVisitor map[string]ast.Node

func (v anchorVisitor) Visit(node ast.Node) ast.Visitor {
	if anchor, ok := node.(*ast.AnchorNode); ok {
		v[anchor.Name.GetToken().Value] = anchor.Value
	}
	return v
}

// field is one key of a mapping.
type field struct {
	key   string
	token *token.Token
	value ast.Node
}

// resolve strips anchors and tags and follows aliases.
func (d *document) resolve(node ast.Node) (ast.Node, error) {
	for range 32 {
		switch n := node.(type) {
		case *ast.AnchorNode:
			node = n.Value
		case *ast.TagNode:
			node = n.Value
		case *ast.AliasNode:
			target, ok := d.anchors[n.Value.GetToken().Value]
			if !ok {
				return nil, errorAt(n.GetToken(), "no anchor has the name '%s'", n.Value.GetToken().Value)
			}
			node = target
		default:
			return node, nil
		}
	}
	return nil, errorAt(node.GetToken(), "aliases are nested too deeply")
}

// mapping returns the fields of a mapping in the order they were written; those
// that a merge key (<<) brings come first, so that a later one of the same key
// wins. A null counts as an empty mapping.
func (d *document) mapping(node ast.Node, what string) ([]field, error) {
	return d.mappingDepth(node, what, 0)
}

func (d *document) mappingDepth(node ast.Node, what string, depth int) ([]field, error) {
	resolved, err := d.resolve(node)
	if err != nil {
		return nil, err
	}
	var values []*ast.MappingValueNode
	switch n := resolved.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	case *ast.NullNode, nil:
		return nil, nil
	default:
		return nil, errorAt(resolved.GetToken(), "%s must be a mapping (key: value), found %s", what, kindOf(resolved))
	}
	var merged, own []field
	for _, value := range values {
		if _, ok := value.Key.(*ast.MergeKeyNode); ok {
			if depth > 8 {
				return nil, errorAt(value.Key.GetToken(), "merge keys are nested too deeply")
			}
			inherited, err := d.mappingDepth(value.Value, what, depth+1)
			if err != nil {
				return nil, err
			}
			merged = append(merged, inherited...)
			continue
		}
		key, err := d.scalar(value.Key.(ast.Node), "key")
		if err != nil {
			return nil, err
		}
		own = append(own, field{key: key, token: value.Key.GetToken(), value: value.Value})
	}
	return append(merged, own...), nil
}

// scalar returns the text of a scalar; null is the empty text. Numbers and
// booleans count as the text that was written.
func (d *document) scalar(node ast.Node, what string) (string, error) {
	resolved, err := d.resolve(node)
	if err != nil {
		return "", err
	}
	switch n := resolved.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.NullNode, nil:
		return "", nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return resolved.GetToken().Value, nil
	default:
		return "", errorAt(resolved.GetToken(), "%s must be a text, found %s", what, kindOf(resolved))
	}
}

func kindOf(node ast.Node) string {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	default:
		return "a " + strings.ToLower(node.Type().String())
	}
}
