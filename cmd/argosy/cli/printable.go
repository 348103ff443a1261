package cli

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What is shown to people comes from workloads, runtimes and manifests of others,
// too: it must not clear their screen, hide what stands before it, or make a line
// that looks like one of ours.

// printable writes what a terminal would act upon, and the ends of lines, as Go
// does in a string.
func printable(text string) string { return escaped(text, "") }

// printableLines is printable for a text of several lines.
func printableLines(text string) string { return escaped(text, "\n\t") }

func escaped(text, allowed string) string {
	acts := func(r rune) bool { return !unicode.IsGraphic(r) && !strings.ContainsRune(allowed, r) }
	if utf8.ValidString(text) && strings.IndexFunc(text, acts) < 0 {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case acts(r):
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		default:
			b.WriteRune(r)
		}
		text = text[size:]
	}
	return b.String()
}

// oneLine puts a text on one line.
func oneLine(text string) string {
	return printable(strings.ReplaceAll(strings.TrimSpace(text), "\n", ", "))
}
