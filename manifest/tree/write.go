package tree

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"regexp"
	"strings"
)

// firstField is written before the fields whose names sort before it, as everybody
// writes it.
const firstField = "apiVersion"

// fields returns the fields of a map in the order in which they are written.
func (n *Node) fields() iter.Seq2[string, *Node] {
	return func(yield func(string, *Node) bool) {
		if first := n.Child(firstField); first != nil && !yield(firstField, first) {
			return
		}
		for name, value := range n.Children() {
			if name != firstField && !yield(name, value) {
				return
			}
		}
	}
}

// JSON returns the tree as JSON without white space, the fields in the order of
// their names with apiVersion first. The nil node is null. Texts that are not valid
// UTF-8 are made so.
func (n *Node) JSON() []byte {
	var b bytes.Buffer
	n.writeJSON(&b)
	return b.Bytes()
}

// MarshalJSON is JSON, for trees inside of other things.
func (n *Node) MarshalJSON() ([]byte, error) { return n.JSON(), nil }

func (n *Node) writeJSON(b *bytes.Buffer) {
	separator := byte('{')
	switch n.Kind() {
	case Absent:
		b.WriteString("null")
	case Text:
		b.WriteString(quoted(n.text))
	case Count:
		b.WriteString(n.text)
	case List:
		b.WriteByte('[')
		for i, item := range n.items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.writeJSON(b)
		}
		b.WriteByte(']')
	case Map:
		for name, value := range n.fields() {
			b.WriteByte(separator)
			separator = ','
			b.WriteString(quoted(name))
			b.WriteByte(':')
			value.writeJSON(b)
		}
		if n.size == 0 {
			b.WriteByte('{')
		}
		b.WriteByte('}')
	}
}

// YAML returns the tree as a YAML document, the fields in the order of their names
// with apiVersion first. Texts are quoted whenever they are more than a plain word,
// or written as a block when they have several lines that YAML keeps as they are.
func (n *Node) YAML() []byte {
	var b bytes.Buffer
	n.writeYAML(&b, "\n")
	return bytes.TrimPrefix(append(bytes.TrimPrefix(b.Bytes(), []byte(" ")), '\n'), []byte("\n"))
}

// writeYAML writes what comes after "name:" or "-". Indent is a line break and the
// indentation of what is inside.
func (n *Node) writeYAML(b *bytes.Buffer, indent string) {
	switch {
	case n.Kind() == Text:
		b.WriteByte(' ')
		b.WriteString(block(n.text, indent))
	case n.Kind() == List && n.size > 0:
		for _, item := range n.items {
			b.WriteString(indent)
			b.WriteByte('-')
			item.writeItem(b, indent+"  ")
		}
	case n.Kind() == Map && n.size > 0:
		for name, value := range n.fields() {
			b.WriteString(indent)
			b.WriteString(word(name))
			b.WriteByte(':')
			value.writeYAML(b, indent+"  ")
		}
	default:
		b.WriteByte(' ')
		n.writeJSON(b)
	}
}

// writeItem writes an item of a list, the first field of a map in the line of the
// dash.
func (n *Node) writeItem(b *bytes.Buffer, indent string) {
	if n.Kind() != Map || n.size == 0 {
		n.writeYAML(b, indent)
		return
	}
	separator := " "
	for name, value := range n.fields() {
		b.WriteString(separator)
		separator = indent
		b.WriteString(word(name))
		b.WriteByte(':')
		value.writeYAML(b, indent+"  ")
	}
}

// quoted writes a text as a JSON string, which is a YAML string too.
func quoted(text string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	// A string always encodes.
	_ = encoder.Encode(text)
	return escapeOdd(strings.TrimSuffix(b.String(), "\n"))
}

// escapeOdd escapes the characters that JSON allows and readers of YAML refuse or
// drop.
func escapeOdd(text string) string {
	if strings.IndexFunc(text, odd) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if odd(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// odd tells whether a character is a control character or a mark of byte order.
func odd(r rune) bool {
	return r < ' ' || (r >= 0x7f && r < 0xa0) || r == 0xfeff || r == 0xfffe || r == 0xffff
}

var plainWord = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_/-]*$`)

// reservedWords are words that one version of YAML or another takes for something
// else than a text.
var reservedWords = map[string]bool{"true": true, "false": true, "null": true, "yes": true, "no": true, "on": true, "off": true, "y": true, "n": true}

// word writes a text on one line, without quotes where it is safe in any place.
func word(text string) string {
	if plainWord.MatchString(text) && !reservedWords[strings.ToLower(text)] {
		return text
	}
	return quoted(text)
}

// block writes a text of several lines as a literal block where YAML keeps it as
// it is, otherwise on one line.
func block(text, indent string) string {
	body, ended := strings.CutSuffix(text, "\n")
	lines := strings.Split(body, "\n")
	if len(lines) < 2 {
		return word(text)
	}
	for i, line := range lines {
		edge := i == 0 || i == len(lines)-1
		strange := strings.IndexFunc(line, func(r rune) bool { return odd(r) || r == 0xa0 || r > 0xff }) >= 0
		if strange || strings.TrimRight(line, " ") != line || (edge && line == "") || (i == 0 && line[0] == ' ') {
			return quoted(text)
		}
	}
	if indent == "\n" {
		// At the top of a document, where nothing is around it.
		indent += "  "
	}
	var b strings.Builder
	b.WriteByte('|')
	if !ended {
		b.WriteByte('-')
	}
	for _, line := range lines {
		if line == "" {
			b.WriteByte('\n')
			continue
		}
		b.WriteString(indent)
		b.WriteString(line)
	}
	return b.String()
}
