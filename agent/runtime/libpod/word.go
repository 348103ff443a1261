package libpod

import (
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Word is a word of a command line, as it is written: the YAML number 1.10 is the
// word 1.10, not 1.1.
type Word string

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (w *Word) UnmarshalYAML(node ast.Node) error {
	switch n := node.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		*w = Word(node.GetToken().Value)
		return nil
	case *ast.LiteralNode:
		*w = Word(n.Value.Value)
		return nil
	}
	return yaml.NodeToValue(node, (*string)(w))
}

// Words are the texts of words.
func Words(list []Word) []string {
	texts := make([]string, len(list))
	for i, w := range list {
		texts[i] = string(w)
	}
	return texts
}
