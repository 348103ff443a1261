package tree

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of what is read.
const (
	// MaxSize is the longest text that is read, in bytes.
	MaxSize = 32 << 20
	// MaxDepth is how deeply maps and lists may be nested.
	MaxDepth = 64
	// MaxExpanded is how large the content may be when every alias is replaced by
	// what it stands for: bytes of texts and names, and one for each node.
	MaxExpanded = 64 << 20
)

// maxNesting bounds what the YAML parser goes into, which is by recursion without
// a limit of its own. It is above what MaxDepth needs, since it is an estimate.
const maxNesting = 4 * MaxDepth

// ErrInvalid is returned (wrapped) for a text that cannot be read.
var ErrInvalid = errors.New("invalid text")

// ReadYAML reads one YAML document. An empty one is an empty map. Errors wrap
// ErrInvalid and say the line.
func ReadYAML(text []byte) (n *Node, err error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	// The parser is known to panic on some texts; a text must not end a process.
	defer func() {
		if cause := recover(); cause != nil {
			n, err = nil, fmt.Errorf("%w: the YAML parser fails on it: %v", ErrInvalid, cause)
		}
	}()
	r := &reader{text: text, anchors: map[string]part{}}
	tokens := lexer.Tokenize(string(text))
	if tok := tooDeep(tokens); tok != nil {
		return nil, r.errorAt(tok, "maps and lists are nested too deeply: at most %d deep are read", MaxDepth)
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			return nil, r.errorAt(syntax.GetToken(), "%s", syntax.GetMessage())
		}
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return nil, r.errorAt(doc.Body.GetToken(), "a second document begins here: write one document")
		}
		body = doc.Body
	}
	whole, err := r.read(body, 0)
	if err != nil {
		return nil, err
	}
	return orEmpty(whole.node), nil
}

func orEmpty(n *Node) *Node {
	if n == nil {
		return NewMap(nil)
	}
	return n
}

func checkText(text []byte) error {
	if len(text) > MaxSize {
		return fmt.Errorf("%w: it is %d bytes long, at most %d are read: split it", ErrInvalid, len(text), MaxSize)
	}
	if !utf8.Valid(text) {
		return fmt.Errorf("%w: it is not UTF-8: write it with that encoding", ErrInvalid)
	}
	return nil
}

// tooDeep returns the token at which the parser would go too deep, if there is
// one. The depth is that of brackets, of indentation, and of what opens something in
// one line outside of brackets.
func tooDeep(tokens token.Tokens) *token.Token {
	var columns []int
	brackets, line, inLine := 0, 0, 0
	for _, tok := range tokens {
		if tok.Position.Line != line {
			line, inLine = tok.Position.Line, 0
			for brackets == 0 && len(columns) > 0 && columns[len(columns)-1] >= tok.Position.Column {
				columns = columns[:len(columns)-1]
			}
			if brackets == 0 {
				columns = append(columns, tok.Position.Column)
			}
		}
		switch tok.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets = max(0, brackets-1)
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType, token.AnchorType, token.AliasType, token.TagType:
			if brackets == 0 {
				inLine++
			}
		}
		if len(columns)+brackets+inLine > maxNesting {
			return tok
		}
	}
	return nil
}

// errorAt makes an error that points at a token of the text.
func (r *reader) errorAt(tok *token.Token, format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	if tok == nil || tok.Position == nil || tok.Position.Line < 1 || tok.Position.Column < 1 {
		return fmt.Errorf("%w: %s", ErrInvalid, reason)
	}
	return fmt.Errorf("%w: line %d, column %d: %s%s", ErrInvalid, tok.Position.Line, tok.Position.Column, reason, r.excerpt(tok.Position.Line, tok.Position.Column))
}

// excerpt returns a line of the text with a caret under a column, and nothing for
// a line that is too long to be shown. The printer of the YAML library takes time
// by the square of the text.
func (r *reader) excerpt(line, column int) string {
	const longest = 200
	rest := r.text
	for range line - 1 {
		_, rest, _ = bytes.Cut(rest, []byte("\n"))
	}
	shown, _, _ := bytes.Cut(rest, []byte("\n"))
	if len(shown) > longest || column > len(shown)+1 {
		return ""
	}
	return fmt.Sprintf("\n  %s\n  %s^", shown, strings.Repeat(" ", column-1))
}

// part is a subtree that was read; the node is nil for null.
type part struct {
	node *Node
	// height is the depth below it, size what MaxExpanded bounds.
	height, size int
}

// reader builds nodes. An alias is the very node that its anchor is.
type reader struct {
	text    []byte
	anchors map[string]part
}

func (r *reader) read(node ast.Node, depth int) (part, error) {
	p, err := r.value(node, depth)
	switch {
	case err != nil:
		return part{}, err
	case depth+p.height > MaxDepth:
		return part{}, r.errorAt(node.GetToken(), "maps and lists are nested too deeply: at most %d deep are read", MaxDepth)
	case p.size > MaxExpanded:
		return part{}, r.errorAt(node.GetToken(), "the content is too large: with what aliases stand for, at most %d bytes are read", MaxExpanded)
	}
	return p, nil
}

func (r *reader) value(node ast.Node, depth int) (part, error) {
	if depth > maxNesting {
		return part{}, r.errorAt(node.GetToken(), "maps and lists are nested too deeply: at most %d deep are read", MaxDepth)
	}
	switch n := node.(type) {
	case *ast.AnchorNode:
		p, err := r.read(n.Value, depth)
		if err == nil {
			r.anchors[n.Name.GetToken().Value] = p
		}
		return p, err
	case *ast.AliasNode:
		p, ok := r.anchors[n.Value.GetToken().Value]
		if !ok {
			return part{}, r.errorAt(n.GetToken(), "no anchor before this has the name '%s'", n.Value.GetToken().Value)
		}
		return p, nil
	case *ast.TagNode:
		return r.read(n.Value, depth)
	case *ast.SequenceNode:
		return r.list(n, depth)
	case *ast.MappingNode:
		return r.mapping(n.Values, depth)
	case *ast.MappingValueNode:
		return r.mapping([]*ast.MappingValueNode{n}, depth)
	default:
		return r.scalar(node)
	}
}

func (r *reader) scalar(node ast.Node) (part, error) {
	text := ""
	switch n := node.(type) {
	case *ast.NullNode, nil:
		return part{}, nil
	case *ast.StringNode:
		text = n.Value
	case *ast.LiteralNode:
		text = n.Value.Value
	case *ast.IntegerNode:
		if count := countOf(n.GetToken().Value); count != nil {
			return part{node: count, size: 1 + len(count.text)}, nil
		}
		text = n.GetToken().Value
	case *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		text = n.GetToken().Value
	default:
		return part{}, r.errorAt(node.GetToken(), "expected a text, a list or a mapping, found a %s", strings.ToLower(node.Type().String()))
	}
	return part{node: NewText(text), size: 1 + len(text)}, nil
}

// countOf returns the number that a scalar is, nil when it is not one as NewCount
// writes it.
func countOf(text string) *Node {
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil || strconv.FormatUint(number, 10) != text {
		return nil
	}
	return NewCount(number)
}

func (r *reader) list(list *ast.SequenceNode, depth int) (part, error) {
	items := make([]*Node, 0, len(list.Values))
	whole := part{size: 1}
	for _, value := range list.Values {
		p, err := r.read(value, depth+1)
		if err != nil {
			return part{}, err
		}
		if p.node == nil {
			p.node = NewText("")
		}
		items = append(items, p.node)
		whole.height, whole.size = max(whole.height, p.height), whole.size+1+p.size
	}
	whole.height++
	whole.node = NewList(items)
	return whole, nil
}

func (r *reader) mapping(values []*ast.MappingValueNode, depth int) (part, error) {
	own := map[string]*Node{}
	var merged []*Node
	whole := part{size: 1}
	for _, value := range values {
		p, err := r.read(value.Value, depth+1)
		if err != nil {
			return part{}, err
		}
		name := ""
		if _, ok := value.Key.(*ast.MergeKeyNode); ok {
			from, err := r.mergeable(p.node, value)
			if err != nil {
				return part{}, err
			}
			merged = append(merged, from...)
		} else {
			if name, err = r.name(value.Key); err != nil {
				return part{}, err
			}
			if _, ok := own[name]; ok {
				return part{}, r.errorAt(value.Key.GetToken(), "the field '%s' is there twice", name)
			}
			own[name] = p.node
		}
		whole.height, whole.size = max(whole.height, p.height), whole.size+p.size+len(name)
	}
	// The first that has a field wins, the map's own before all.
	for _, from := range merged {
		for name, value := range from.Children() {
			if _, ok := own[name]; !ok {
				own[name] = value
			}
		}
	}
	whole.height++
	whole.node = NewMap(own)
	return whole, nil
}

// mergeable returns the maps that a merge key brings.
func (r *reader) mergeable(n *Node, value *ast.MappingValueNode) ([]*Node, error) {
	from := []*Node{n}
	if n.Kind() == List {
		from = n.items
	}
	for _, one := range from {
		if one.Kind() != Map && one.Kind() != Absent {
			return nil, r.errorAt(value.Key.GetToken(), "a merge key needs a mapping or a list of mappings, found %s", one.Kind())
		}
	}
	return from, nil
}

func (r *reader) name(key ast.MapKeyNode) (string, error) {
	node, ok := key.(ast.Node)
	if explicit, is := key.(*ast.MappingKeyNode); is {
		node = explicit.Value
	}
	if !ok || node == nil {
		return "", r.errorAt(key.GetToken(), "the name of a field is missing")
	}
	p, err := r.value(node, 0)
	if err != nil {
		return "", err
	}
	if p.node.Kind() != Text && p.node.Kind() != Count || p.node.text == "" {
		return "", r.errorAt(key.GetToken(), "the name of a field must be a text that is not empty, found %s", p.node.Kind())
	}
	return p.node.text, nil
}
