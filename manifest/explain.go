package manifest

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnknownField is returned (wrapped) by Explain for a path that names no
// field.
var ErrUnknownField = errors.New("unknown field")

// Explain returns what a field means, for people. A path names fields from the
// top, such as workloads.files.mountPoint; names of workloads, keys and positions
// in lists are left out, or written as * or <name>. The empty path is the whole
// manifest.
func Explain(path string) (string, error) {
	s, shown, err := find(path)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if shown == "" {
		fmt.Fprintf(&b, "%s\n", s.doc)
	} else {
		fmt.Fprintf(&b, "%s (%s)\n\n%s\n", shown, s.typeText(), oneLine(s.doc))
	}
	b.WriteString(s.rules())
	if s.example != "" {
		fmt.Fprintf(&b, "\nExample:\n  %s\n", strings.ReplaceAll(strings.TrimSpace(s.example), "\n", "\n  "))
	}
	if fields := s.inner().fields; len(fields) > 0 {
		b.WriteString("\nFields:\n")
		width := 0
		for _, f := range fields {
			width = max(width, len(f.name))
		}
		for _, f := range fields {
			fmt.Fprintf(&b, "  %-*s  %s (%s)\n", width, f.name, f.summary(), f.typeText())
		}
	}
	return b.String(), nil
}

// rules lists the words, the default, the limits and the feature level.
func (s *spec) rules() string {
	var b strings.Builder
	choices := s.choices
	if s.element != nil {
		choices = s.element.choices
	}
	if len(choices) > 0 {
		b.WriteString("\nWords:\n")
		width := 0
		for _, c := range choices {
			width = max(width, len(c.word))
		}
		for _, c := range choices {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, c.word, c.doc)
		}
	}
	var lines []string
	if s.fallback != "" {
		lines = append(lines, "Default: "+s.fallback)
	}
	if s.limits != "" {
		lines = append(lines, "Limits:  "+s.limits)
	}
	if s.alias != "" {
		lines = append(lines, "Also:    "+s.alias)
	}
	if s.since > 1 {
		lines = append(lines, fmt.Sprintf("Since:   feature level %d of the cluster", s.since))
	}
	if len(lines) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(lines, "\n"))
	}
	return b.String()
}

// typeText says what a value is.
func (s *spec) typeText() string {
	text := ""
	switch s.kind {
	case kindText, kindLabel:
		text = "text"
	case kindChoice:
		text = "word"
	case kindObject:
		text = "object"
	case kindItem:
		text = "text, list or mapping"
	case kindMap:
		text = "mapping of " + plural[s.element.kind]
	case kindList:
		text = "list of " + plural[s.element.kind]
	}
	if s.required {
		text += ", required"
	}
	return text
}

var plural = map[kind]string{
	kindText: "texts", kindLabel: "texts", kindChoice: "words", kindObject: "objects", kindItem: "texts, lists or mappings",
}

// summary is the first sentence.
func (s *spec) summary() string {
	text := oneLine(s.doc)
	if end := strings.Index(text, ". "); end >= 0 {
		text = text[:end+1]
	}
	return text
}

// find follows a path, and returns it with the placeholders it passes.
func find(path string) (*spec, string, error) {
	s, shown := table, ""
	for part := range strings.SplitSeq(path, ".") {
		part = strings.TrimSuffix(part, "[]")
		if part == "" || part == "*" || strings.HasPrefix(part, "<") {
			continue
		}
		for ; s.element != nil; s = s.element {
			if s.kind == kindList {
				shown += "[]"
			} else {
				shown += "." + s.placeholder
			}
		}
		next := s.field(part)
		if next == nil {
			return nil, "", s.unknown(part, shown)
		}
		s, shown = next, strings.TrimPrefix(shown+"."+next.name, ".")
	}
	return s, shown, nil
}

func (s *spec) unknown(part, where string) error {
	if where == "" {
		where = "a manifest"
	}
	switch {
	case len(s.fields) == 0:
		return fmt.Errorf("%w '%s': %s has no fields", ErrUnknownField, shorten(part), where)
	case s.nearest(part) != "":
		return fmt.Errorf("%w '%s' of %s: did you mean '%s'?", ErrUnknownField, shorten(part), where, s.nearest(part))
	case s == table && workloadSpec.field(part) != nil:
		return fmt.Errorf("%w '%s' of %s: did you mean 'workloads.%s'?", ErrUnknownField, shorten(part), where, part)
	}
	return fmt.Errorf("%w '%s' of %s; known are %s", ErrUnknownField, shorten(part), where, s.names())
}
