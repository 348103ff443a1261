package template_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/argosy-cluster/argosy/manifest/template"
)

// plain draws a text without anything of a template in it.
func plain(t *rapid.T, name string) string {
	s := rapid.StringOf(rapid.RuneFrom([]rune("ab{} \t\n\\ü}~#"))).Draw(t, name)
	for strings.Contains(s, "{{") {
		s = strings.ReplaceAll(s, "{{", "{")
	}
	return s
}

func mustRender(t rapid.TB, s string, values template.Map) string {
	t.Helper()
	parsed, err := template.Parse(s)
	if err != nil {
		t.Fatalf("parsing %q: %v", s, err)
	}
	got, err := parsed.Render(values)
	if err != nil {
		t.Fatalf("rendering %q: %v", s, err)
	}
	return got
}

func TestTextWithoutTagsRendersToItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := plain(t, "text")
		if got := mustRender(t, s, nil); got != s {
			t.Fatalf("%q renders to %q", s, got)
		}
	})
}

// TestAnEscapedTextRendersToItself checks the other way to write braces.
func TestAnEscapedTextRendersToItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOf(rapid.RuneFrom([]rune("ab{} \n"))).Draw(t, "text")
		if got := mustRender(t, strings.ReplaceAll(s, "{{", `\{{`), nil); got != s {
			t.Fatalf("%q renders to %q", s, got)
		}
	})
}

// TestAValueIsWrittenAsItIs checks that nothing is escaped, interpreted again or
// trimmed.
func TestAValueIsWrittenAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := strings.TrimRight(plain(t, "before"), `\{`), plain(t, "after")
		value := rapid.String().Draw(t, "value")
		tag := rapid.SampledFrom([]string{"{{v}}", "{{{v}}}", "{{& this.v }}", "{{#if true}}{{v}}{{/if}}", "{{#with v}}{{this}}{{else}}{{/with}}"}).Draw(t, "tag")
		if got, want := mustRender(t, before+tag+after, dict{"v": text(value)}), before+value+after; got != want {
			t.Fatalf("%q renders to %q instead of %q", before+tag+after, got, want)
		}
	})
}

// indentNaively is what the indent partial shall do, found another way: by the
// lines of the text.
func indentNaively(s, indent string) string {
	lines := strings.SplitAfter(s, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	for i, line := range lines {
		if i > 0 || !strings.ContainsAny(line[:1], "\r\n") {
			lines[i] = indent + line
		}
	}
	return strings.Join(lines, "")
}

func TestIndentPutsItsWhiteSpaceBeforeEachLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringOf(rapid.RuneFrom([]rune("ab \r\n\n\t"))).Draw(t, "value")
		indent := rapid.StringOf(rapid.RuneFrom([]rune(" \t"))).Draw(t, "indent")
		got := mustRender(t, "first\n"+indent+"{{> indent content=v}}\nlast", dict{"v": text(value)})
		if want := "first\n" + indentNaively(value, indent) + "last"; got != want {
			t.Fatalf("%q by %q renders to %q instead of %q", value, indent, got, want)
		}
	})
}

// TestEachGoesThroughAMapInOrder checks that the order does not depend on Go's.
func TestEachGoesThroughAMapInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := dict{}
		for _, key := range rapid.SliceOf(rapid.StringMatching("[a-c]{1,3}")).Draw(t, "keys") {
			m[key] = text(strings.ToUpper(key))
		}
		last := ""
		for _, key := range strings.Fields(mustRender(t, "{{#each m as |v k|}}{{k}} {{/each}}", dict{"m": m})) {
			if key <= last || m[key] == nil {
				t.Fatalf("%q comes after %q", key, last)
			}
			last = key
		}
	})
}

// TestNamesTellEverythingThatIsAsked checks that a template renders in the same
// way when only what it names is among the values.
func TestNamesTellEverythingThatIsAsked(t *testing.T) {
	parts := rapid.SampledFrom([]string{
		"{{a}}", "{{#if b}}", "{{/if}}", "{{#each l}}", "{{/each}}", "{{#each m as |a b|}}", "{{#with m}}", "{{/with}}", "{{else}}",
		"{{../a}}", "{{@root.b}}", "{{this.x}}", "{{x}}", "{{@key}}", "{{> indent content=c}}", "{{eq a c}}", "{{lookup m 'x'}}", "\n ",
	})
	all := dict{"a": text("1"), "b": text("2"), "c": text("3"), "l": list{text("4"), text("5")}, "m": dict{"x": text("6"), "y": text("7")}, "x": text("8")}
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOf(parts).Draw(t, "parts"), "")
		parsed, err := template.Parse(s)
		if err != nil {
			t.Skip()
		}
		named := dict{}
		for _, name := range parsed.Names() {
			named[name] = all[name]
		}
		want, err := parsed.Render(all)
		got, errNamed := parsed.Render(named)
		if got != want || (err == nil) != (errNamed == nil) {
			t.Fatalf("%q renders to %q (%v), and to %q (%v) with %v alone", s, want, err, got, errNamed, parsed.Names())
		}
	})
}

// FuzzRender parses anything and renders it within bounds, twice the same.
func FuzzRender(f *testing.F) {
	for _, s := range []string{
		runtimeConfig, "{{#each l as |v i|}}{{v}}{{else}}{{^}}{{/each}}", "{{~#if (eq a 'b')~}}x{{else if c}}{{/if}}",
		"  {{> indent content=m.x}}\n{{! c }}{{!-- }} --}}", `\{{a}} \\{{a}} {{{a}}} {{~{a}~}} {{&a}}`,
		"{{#with m}}{{../a}}{{@root.[b]}}{{/with}}{{#each m}}{{@key}}{{@../index}}{{/each}}", "{{lookup l 1.5E3}}{{#unless null includeZero=true}}{{/unless}}",
		`{{and a "\u0041" true (not (len l))}}`, "{{#each deep}}{{#each this}}{{#each this}}{{/each}}{{/each}}{{/each}}",
	} {
		f.Add(s)
	}
	fixed := dict{
		"a": text("b\nc\n"), "b": text(""), "c": text("5"), "image": text("x"), "port": text("80"),
		"l": list{text("x"), list{text("y")}, dict{"k": text("z")}}, "m": dict{"x": text("1\n2"), "y": list{}, "z": dict{}},
		"deep": list{list{list{text("1"), text("2")}, dict{"a": text("3")}}},
	}
	f.Fuzz(func(t *testing.T, s string) {
		parsed, err := template.Parse(s)
		if err != nil {
			mustBeOfThePackage(t, s, err)
			return
		}
		parsed.Names()
		const limit = 10_000
		got, err := parsed.RenderWithin(fixed, limit)
		if err != nil {
			mustBeOfThePackage(t, s, err)
		}
		if len(got) > limit {
			t.Fatalf("%d bytes", len(got))
		}
		if again, errAgain := parsed.RenderWithin(fixed, limit); again != got || (err == nil) != (errAgain == nil) {
			t.Fatalf("renders to %q, then to %q", got, again)
		}
	})
}

// mustBeOfThePackage checks that an error says where, in the text that there is.
func mustBeOfThePackage(t *testing.T, s string, err error) {
	t.Helper()
	var at *template.Error
	if !errors.As(err, &at) || at.Kind == nil || at.Reason == "" || at.Line < 1 || at.Column < 1 || at.Line > 1+strings.Count(s, "\n") || at.Column > 1+len(s) {
		t.Fatalf("%q: the error is %#v", s, err)
	}
}
