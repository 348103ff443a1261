package template

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Every error of the package is an *Error that wraps one of these.
var (
	// ErrSyntax is returned for a text that is no template.
	ErrSyntax = errors.New("invalid template")
	// ErrUnknownName is returned when a name is not among the values.
	ErrUnknownName = errors.New("unknown name in template")
	// ErrType is returned when a value is of another kind than its place needs.
	ErrType = errors.New("wrong kind of value in template")
	// ErrLimit is returned when a template, or rendering it, would take more
	// than it may: size, depth, steps, length of the result.
	ErrLimit = errors.New("template exceeds a limit")
)

// Error says what is wrong and where. It tells names, never what is in a value:
// that may be a secret.
type Error struct {
	// Line and Column count from 1, the column in characters.
	Line, Column int
	// Reason is the text for people.
	Reason string
	// Kind is one of the package's errors, which errors.Is finds.
	Kind error
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// errorAt makes an error that points at an offset of a text.
func errorAt(text string, offset int, kind error, format string, args ...any) *Error {
	before := text[:offset]
	return &Error{
		Line:   1 + strings.Count(before, "\n"),
		Column: 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]),
		Reason: fmt.Sprintf(format, args...),
		Kind:   kind,
	}
}

// maxQuoted is how much of a user's text a message repeats, in bytes.
const maxQuoted = 60

// shorten keeps a text of a user from flooding a message.
func shorten(s string) string {
	if len(s) > maxQuoted {
		s = strings.ToValidUTF8(s[:maxQuoted], "") + "..."
	}
	return s
}

// quote shortens a text of a user for a message.
func quote(s string) string { return "'" + shorten(s) + "'" }

// maxListed is how many names a message lists.
const maxListed = 20

// list joins names for a message.
func list(names []string) string {
	if len(names) > maxListed {
		return fmt.Sprintf("%s and %d more", list(names[:maxListed]), len(names)-maxListed)
	}
	short := make([]string, len(names))
	for i, name := range names {
		short[i] = shorten(name)
	}
	return strings.Join(short, ", ")
}
