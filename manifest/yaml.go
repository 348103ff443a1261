package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// Limits of a text that is read, beside MaxSize. They bound what reading it
// costs: a node takes about 160 bytes, and aliases make nodes of nothing.
const (
	// maxSeparators is the greatest number of characters that may divide a text
	// into nodes. There are at most two nodes for each.
	maxSeparators = 2 << 20
	// maxDepth is how deeply mappings and lists may be nested, each way of
	// writing them (with brackets, by indentation) counted for itself.
	maxDepth = 64
	// maxAliased is how many values may be read more often than they were written.
	maxAliased = 1 << 20
	// readsPerSeparator is how often the values that one separator can make are
	// looked at when there are no aliases: two values, at most four times each.
	readsPerSeparator = 8
	// maxMerges is how deeply merge keys may be nested.
	maxMerges = 8
)

// SyntaxError says where in a text something is wrong, with the line and a
// caret under it.
type SyntaxError struct {
	// File is where the text came from; empty when that was not told.
	File string
	// Line and Column count from 1.
	Line, Column int
	// Reason is the text for people.
	Reason string
	// Excerpt shows the lines around the place with a caret below it.
	Excerpt string
}

func (e *SyntaxError) Error() string {
	text := fmt.Sprintf("line %d, column %d: %s\n%s", e.Line, e.Column, e.Reason, e.Excerpt)
	if e.File != "" {
		text = e.File + ": " + text
	}
	return strings.TrimRight(text, "\n")
}

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e *SyntaxError) Unwrap() error { return ErrInvalid }

// text is what was given to be read.
type text struct {
	name  string
	bytes []byte
	// separators may begin a node each.
	separators int
}

// at makes an error that points at a place.
func (t *text) at(line, column int, format string, args ...any) *SyntaxError {
	e := &SyntaxError{File: t.name, Line: max(line, 1), Column: max(column, 1), Reason: fmt.Sprintf(format, args...)}
	e.Excerpt = t.excerpt(e.Line, e.Column)
	return e
}

// excerpt shows a line, those around it, and a caret. Of a long line it shows
// what is around the caret.
func (t *text) excerpt(line, column int) string {
	const around, width = 3, 120
	from := max(column-width/2, 0)
	var b strings.Builder
	number := 0
	for content := range t.lines() {
		if number++; number < line-around {
			continue
		}
		if number > line+around {
			break
		}
		mark := ' '
		if number == line {
			mark = '>'
		}
		shown := window(content, from, width)
		fmt.Fprintf(&b, "%s\n", strings.TrimRight(fmt.Sprintf("%c %2d | %s", mark, number, shown), " "))
		if number == line {
			prefix := len(fmt.Sprintf("  %2d | ", number))
			fmt.Fprintf(&b, "%s^\n", strings.Repeat(" ", prefix+column-1-from))
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// lines yields the lines of a text without what ends them. YAML's libraries count
// some characters as ends that editors do not.
func (t *text) lines() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		start := 0
		for at := 0; at < len(t.bytes); {
			size := lineEnd(t.bytes[at:])
			if size > 0 {
				if !yield(t.bytes[start:at]) {
					return
				}
				start = at + size
			}
			at += max(size, 1)
		}
		if start < len(t.bytes) {
			yield(t.bytes[start:])
		}
	}
}

// lineEnd returns the length of the end of a line at the beginning of a text; 0
// for none.
func lineEnd(text []byte) int {
	switch text[0] {
	case '\n':
		return 1
	case '\r':
		if len(text) > 1 && text[1] == '\n' {
			return 2
		}
		return 1
	case 0xc2, 0xe2:
		for _, end := range []string{"\u0085", "\u2028", "\u2029"} {
			if bytes.HasPrefix(text, []byte(end)) {
				return len(end)
			}
		}
	}
	return 0
}

// window returns width characters of a line; those that would move the caret or
// the terminal become blanks.
func window(line []byte, from, width int) string {
	var b strings.Builder
	at := 0
	for _, r := range string(line[:min(len(line), utf8.UTFMax*(from+width))]) {
		if at++; at <= from {
			continue
		}
		if at > from+width {
			break
		}
		if r < ' ' || (r >= 0x7f && r < 0xa0) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return strings.TrimRight(b.String(), " ")
}

// check refuses what is no text, and what would cost more to read than any
// manifest should.
func (t *text) check() error {
	if len(t.bytes) > MaxSize {
		return fmt.Errorf("%w: %sit is %d bytes long, at most %d are read: split it into several", ErrInvalid, t.prefix(), len(t.bytes), MaxSize)
	}
	line, start := 1, 0
	for at := 0; at < len(t.bytes); {
		if size := lineEnd(t.bytes[at:]); size > 0 {
			at += size
			line, start = line+1, at
			continue
		}
		r, size := utf8.DecodeRune(t.bytes[at:])
		switch {
		case r == utf8.RuneError && size == 1:
			return t.at(line, 1+utf8.RuneCount(t.bytes[start:at]), "it is not UTF-8 text: save it as that")
		case r < ' ' && r != '\t', r == 0xfffe, r == 0xffff:
			return t.at(line, 1+utf8.RuneCount(t.bytes[start:at]), "the control character %U cannot be in YAML: write it as an escape in a text in double quotes", r)
		case r < utf8.RuneSelf && t.separates(at):
			t.separators++
		}
		at += size
	}
	if t.separators > maxSeparators {
		return fmt.Errorf("%w: %sit has %d commas, colons, brackets and dashes, at most %d are read: split it into several", ErrInvalid, t.prefix(), t.separators, maxSeparators)
	}
	return nil
}

func (t *text) prefix() string {
	if t.name == "" {
		return ""
	}
	return t.name + ": "
}

// separates tells whether a character may begin a node. Within a text it begins
// none: the count is an upper bound.
func (t *text) separates(at int) bool {
	switch t.bytes[at] {
	case ',', '[', '{':
		return true
	case ':', '-', '?':
		if at+1 == len(t.bytes) || strings.IndexByte(" \t\r\n,[]{}-\"'", t.bytes[at+1]) >= 0 {
			return true
		}
		// {"key":value}
		return at > 0 && strings.IndexByte("\"'", t.bytes[at-1]) >= 0
	}
	return false
}

// document is one YAML document. Aliases are followed where a value is read,
// never expanded, so that a document that nests them cannot grow.
type document struct {
	text *text
	body *yaml.Node
	// budget is how many values may still be read: those of the text, and some
	// for aliases.
	budget *int
}

// limitDepth is what the YAML library asks at each further level.
func limitDepth(depth int, _ *yaml.DepthContext) error {
	if depth > maxDepth {
		return fmt.Errorf("mappings and lists are nested more than %d deep", maxDepth)
	}
	return nil
}

// documents reads a text that may hold several. A fault of the YAML library in a
// text of a user must not end a server.
func (t *text) documents(budget *int) (docs []*document, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			docs, err = nil, fmt.Errorf("%w: %sthe YAML parser fails on it: %v", ErrInvalid, t.prefix(), cause)
		}
	}()
	if err := t.check(); err != nil {
		return nil, err
	}
	*budget += readsPerSeparator * t.separators
	loader, err := yaml.NewLoader(bytes.NewReader(t.bytes), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthFunc(limitDepth))))
	if err != nil {
		return nil, fmt.Errorf("%w: %s%w", ErrInvalid, t.prefix(), err)
	}
	for {
		var node yaml.Node
		switch err := loader.Load(&node); {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return nil, t.syntax(err)
		}
		if node.Kind != yaml.DocumentNode || len(node.Content) == 0 || isNull(node.Content[0]) {
			continue
		}
		docs = append(docs, &document{text: t, body: node.Content[0], budget: budget})
	}
}

// syntax says what the YAML library said.
func (t *text) syntax(err error) error {
	var wrong *yaml.LoadError
	if !errors.As(err, &wrong) {
		return fmt.Errorf("%w: %s%w", ErrInvalid, t.prefix(), err)
	}
	reason := wrong.Message
	if wrong.ContextMsg != "" {
		reason += " " + wrong.ContextMsg
		if line := wrong.ContextMark.Line; line > 0 && line != wrong.Mark.Line {
			reason += fmt.Sprintf(" that begins in line %d", line)
		}
	}
	line, column := wrong.Mark.Line, wrong.Mark.Column
	// At the end of the text the caret goes behind its last line.
	last, lastColumn, number := 0, 0, 0
	for content := range t.lines() {
		if number++; len(content) > 0 {
			last, lastColumn = number, utf8.RuneCount(content)+1
		}
		if indented := bytes.TrimLeft(content, " "); number == line && column == len(content)-len(indented)+1 && bytes.HasPrefix(indented, []byte("\t")) {
			// The library speaks of a character, which nobody sees.
			reason = "a tab begins the line: indent with spaces"
		}
	}
	if line > last {
		line, column = last, lastColumn
	}
	return t.at(line, column, "%s", reason)
}

// place is where something was written.
type place struct {
	text         *text
	line, column int
}

func (p place) fail(format string, args ...any) *SyntaxError {
	return p.text.at(p.line, p.column, format, args...)
}

// String returns the line, with the file when that is known.
func (p place) String() string {
	return fmt.Sprintf("%sline %d", strings.ReplaceAll(p.text.prefix(), ": ", ", "), p.line)
}

// placeOf says where a value was written.
func (d *document) placeOf(node *yaml.Node) place {
	return place{d.text, node.Line, node.Column}
}

func (d *document) fail(node *yaml.Node, format string, args ...any) *SyntaxError {
	return d.placeOf(node).fail(format, args...)
}

// entry is one key of a mapping.
type entry struct {
	key   string
	at    place
	value *yaml.Node
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// resolve follows an alias. The library lets one name a value that it is part
// of; what that costs is bounded by the budget.
func (d *document) resolve(node *yaml.Node) (*yaml.Node, error) {
	if *d.budget--; *d.budget < 0 {
		return nil, d.fail(node, "aliases make more than %d values of it: write fewer", maxAliased)
	}
	if node.Kind == yaml.AliasNode {
		return node.Alias, nil
	}
	return node, nil
}

// mapping returns the entries of a mapping in the order they were written, then
// those that merge keys (<<) bring and that it has not itself. A null counts as
// an empty mapping.
func (d *document) mapping(node *yaml.Node, what string) ([]entry, error) {
	return d.merged(node, what, 0)
}

func (d *document) merged(node *yaml.Node, what string, depth int) ([]entry, error) {
	resolved, err := d.resolve(node)
	if err != nil {
		return nil, err
	}
	if isNull(resolved) {
		return nil, nil
	}
	if resolved.Kind != yaml.MappingNode {
		return nil, d.fail(node, "%s must be a mapping (key: value), found %s", what, kindOf(resolved))
	}
	entries := make([]entry, 0, len(resolved.Content)/2)
	lines := make(map[string]int, len(resolved.Content)/2)
	var bases []*yaml.Node
	for i := 0; i+1 < len(resolved.Content); i += 2 {
		key, value := resolved.Content[i], resolved.Content[i+1]
		if key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" {
			bases = append(bases, value)
			continue
		}
		name, err := d.scalar(key, "a key")
		if err != nil {
			return nil, err
		}
		if line, ok := lines[name]; ok {
			return nil, d.fail(key, "'%s' is already defined in line %d", shorten(name), line)
		}
		lines[name] = key.Line
		entries = append(entries, entry{key: name, at: d.placeOf(key), value: value})
	}
	for _, base := range bases {
		if entries, err = d.inherit(entries, lines, base, what, depth+1); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// inherit adds what a merge key brings: a mapping, or a list of such of which
// the first that has a key counts.
func (d *document) inherit(entries []entry, lines map[string]int, base *yaml.Node, what string, depth int) ([]entry, error) {
	if depth > maxMerges {
		return nil, d.fail(base, "merge keys are nested more than %d deep", maxMerges)
	}
	resolved, err := d.resolve(base)
	if err != nil {
		return nil, err
	}
	if resolved.Kind == yaml.SequenceNode {
		for _, one := range resolved.Content {
			if entries, err = d.inherit(entries, lines, one, what, depth+1); err != nil {
				return nil, err
			}
		}
		return entries, nil
	}
	inherited, err := d.merged(resolved, what, depth)
	if err != nil {
		return nil, err
	}
	for _, e := range inherited {
		if _, ok := lines[e.key]; !ok {
			lines[e.key] = e.at.line
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// list returns the items of a list. A null counts as an empty list.
func (d *document) list(node *yaml.Node, what string) ([]*yaml.Node, error) {
	resolved, err := d.resolve(node)
	switch {
	case err != nil:
		return nil, err
	case isNull(resolved):
		return nil, nil
	case resolved.Kind != yaml.SequenceNode:
		return nil, d.fail(node, "%s must be a list (- value), found %s", what, kindOf(resolved))
	}
	return resolved.Content, nil
}

// scalar returns the text of a scalar; null is the empty text. Numbers and
// booleans count as the text that was written.
func (d *document) scalar(node *yaml.Node, what string) (string, error) {
	resolved, err := d.resolve(node)
	switch {
	case err != nil:
		return "", err
	case resolved.Kind != yaml.ScalarNode:
		return "", d.fail(node, "%s must be a text, found %s", what, kindOf(resolved))
	case isNull(resolved):
		return "", nil
	}
	return resolved.Value, nil
}

func kindOf(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch node.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "a truth value"
	case "!!int", "!!float":
		return "a number"
	}
	return "a text"
}
