package template_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/argosy-cluster/argosy/manifest/template"
)

type (
	text = template.Text
	list = template.List
	dict = template.Map
)

// values are what most tests render with.
var values = dict{
	"name":  text("web"),
	"port":  text("8080"),
	"html":  text(`<a href="x">&'</a>`),
	"empty": text(""),
	"none":  list{},
	"args":  list{text("a"), text("b"), text("c")},
	"env":   dict{"B": text("2"), "A": text("1"), "a b": text("3")},
	"nested": dict{
		"list":  list{dict{"k": text("v0")}, dict{"k": text("v1")}},
		"deep":  dict{"x": text("y")},
		"lists": list{list{text("1")}, list{text("2"), text("3")}},
	},
	"lines": text("one\ntwo\n"),
	"log":   text("a log"),
	"this-": text("dash"),
	"größe": text("umlaut"),
}

func mustParse(t testing.TB, s string) *template.Template {
	t.Helper()
	parsed, err := template.Parse(s)
	if err != nil {
		t.Fatalf("parsing %q: %v", s, err)
	}
	return parsed
}

func render(s string) (string, error) {
	parsed, err := template.Parse(s)
	if err != nil {
		return "", err
	}
	return parsed.Render(values)
}

func TestATemplateRendersTo(t *testing.T) {
	for _, group := range []struct {
		about string
		cases [][2]string
	}{
		{"values", [][2]string{
			{"", ""},
			{"no braces } { }} here", "no braces } { }} here"},
			{"{{name}}:{{port}}", "web:8080"},
			{"{{ name }}{{{name}}}{{{ name }}}{{&name}}{{& name}}", "webwebwebwebweb"},
			{"{{\n name\n}}", "web"},
			{"{{html}}|{{{html}}}", `<a href="x">&'</a>|<a href="x">&'</a>`},
			{"{{this.name}}{{./name}}{{this/name}}{{@root.name}}{{@root/name}}", "webwebwebwebweb"},
			{"{{nested.deep.x}}{{nested/deep/x}}{{nested.[deep].[x]}}", "yyy"},
			{"{{args.0}}{{args.[1]}}{{args/2}}", "abc"},
			{"{{env.[a b]}}{{[name]}}", "3web"},
			{"{{nested.list.[1].k}}", "v1"},
			{"{{args}} {{nested.lists}} {{none}}", "[a, b, c] [[1], [2, 3]] []"},
			{"{{empty}}", ""},
			{"{{this-}} {{größe}}", "dash umlaut"},
			{"{{log}}", "a log"},
			{"{{../name}}{{../../name}}", "webweb"},
		}},
		{"conditions", [][2]string{
			{"{{#if name}}yes{{/if}}", "yes"},
			{"{{#if empty}}yes{{/if}}", ""},
			{"{{#if empty}}yes{{else}}no{{/if}}", "no"},
			{"{{#if none}}yes{{^}}no{{/if}}", "no"},
			{"{{#if unknown}}yes{{else}}no{{/if}}", "no"},
			{"{{#if name.unknown.more}}yes{{else}}no{{/if}}", "no"},
			{"{{#if empty}}1{{else if unknown}}2{{else if name}}3{{else}}4{{/if}}", "3"},
			{"{{#if empty}}1{{^if unknown}}2{{^}}4{{/if}}", "4"},
			{"{{#if empty}}1{{else if name}}2{{/if}}3", "23"},
			{"{{#if empty}}1{{else with nested.deep}}{{x}}{{/if}}", "y"},
			{"{{#if empty}}1{{else each args}}{{this}}{{else}}none{{/if}}", "abc"},
			{"{{#if empty}}1{{else unless name}}2{{else eq name 'web'}}3{{/if}}", "3"},
			{"{{#unless empty}}a{{/unless}}{{#unless name}}b{{else}}c{{/unless}}", "ac"},
			{"{{#unless name}}a{{else if empty}}b{{else}}c{{/unless}}", "c"},
			{"{{#if 0}}a{{/if}}{{#if 0 includeZero=true}}b{{/if}}{{#if 1}}c{{/if}}", "bc"},
			{"{{#if true}}a{{/if}}{{#if false}}b{{/if}}{{#if null}}c{{/if}}{{#if 'x'}}d{{/if}}{{#if ''}}e{{/if}}{{#if 0.0}}f{{/if}}", "ad"},
		}},
		{"each", [][2]string{
			{"{{#each args}}{{this}},{{/each}}", "a,b,c,"},
			{"{{#each args}}{{@index}}{{.}}{{@first}}{{@last}} {{/each}}", "0atruefalse 1bfalsefalse 2cfalsetrue "},
			{"{{#each env}}{{@key}}={{this}};{{/each}}", "A=1;B=2;a b=3;"},
			{"{{#each env}}{{@index}}{{@first}}{{@last}} {{/each}}", "0truefalse 1falsefalse 2falsetrue "},
			{"{{#each args as |v|}}{{v}}{{this}}{{/each}}", "aabbcc"},
			{"{{#each args as |v i|}}{{i}}{{v}}{{/each}}", "0a1b2c"},
			{"{{#each env as |v k|}}{{k}}{{v}}{{/each}}", "A1B2a b3"},
			{"{{#each nested.list as |entry|}}{{entry.k}}{{k}}{{../name}}{{@root.port}}{{/each}}", "v0v0web8080v1v1web8080"},
			{"{{#each none}}x{{/each}}", ""},
			{"{{#each none}}x{{else}}{{name}}{{/each}}", "web"},
			{"{{#each unknown}}x{{else}}none{{/each}}", "none"},
			{"{{#each name}}x{{else}}no list{{/each}}", "no list"},
			{"{{#each nested.lists}}{{#each this}}{{@../index}}{{@index}}={{this}} {{/each}}{{/each}}", "00=1 10=2 11=3 "},
			{"{{#each nested.lists as |inner i|}}{{#each inner as |v j|}}{{i}}{{j}}{{v}} {{/each}}{{/each}}", "001 102 113 "},
			{"{{#each args}}{{#if @first}}[{{/if}}{{this}}{{#if @last}}]{{else}},{{/if}}{{/each}}", "[a,b,c]"},
			{"{{#each args}}{{#if @key}}key{{else}}{{@index}}{{/if}}{{/each}}", "012"},
			{"{{#each args}}{{#each ../env}}{{this}}{{../this}}{{../../name}}{{/each}}{{/each}}",
				"1aweb2aweb3aweb1bweb2bweb3bweb1cweb2cweb3cweb"},
			{"{{#each args}}{{lookup @root.args @index}}{{/each}}", "abc"},
		}},
		{"with", [][2]string{
			{"{{#with nested.deep}}{{x}}{{../name}}{{/with}}", "yweb"},
			{"{{#with nested.deep as |d|}}{{d.x}}{{@root.name}}{{/with}}", "yweb"},
			{"{{#with empty}}x{{else}}{{name}}{{/with}}", "web"},
			{"{{#with unknown}}x{{else}}no{{/with}}", "no"},
			{"{{#with name}}{{this}}{{/with}}", "web"},
			{"{{#each args}}{{#with @root.nested.deep}}{{@index}}{{@first}}{{@../last}}{{x}}{{/with}}{{/each}}",
				"0truefalsey1falsefalsey2falsetruey"},
			{"{{#with (lookup nested 'deep')}}{{x}}{{/with}}", "y"},
		}},
		{"helpers", [][2]string{
			{"{{eq name 'web'}}{{eq name \"web\"}}{{ne name 'web'}}{{(eq name port)}}", "truetruefalsefalse"},
			{"{{#if (eq name 'web')}}a{{/if}}{{#eq name 'web'}}b{{else}}c{{/eq}}{{#ne name 'web'}}d{{else}}e{{/ne}}", "abe"},
			{"{{eq port 8080}}{{eq port '8080'}}{{eq 1 1}}{{eq 1 1.0}}{{eq true true}}{{eq null null}}", "falsetruetruefalsetruetrue"},
			{"{{eq args args}}{{eq args none}}{{eq nested nested}}{{eq env nested.deep}}", "truefalsetruefalse"},
			{"{{gt port 80}}{{gt port '80'}}{{lt 80 port}}{{gte 8080 port}}{{lte port 8080}}{{gt port 'x'}}{{gt name 1}}", "truetruetruetruetruefalsefalse"},
			{"{{gt 9 10}}{{lt 9 10}}{{gt '9' '10'}}{{gt 1.5 1}}{{lt -1 0}}{{gt true false}}{{gt args 1}}{{lte args args}}", "falsetruetruetruetruetruefalsefalse"},
			{"{{lt 9007199254740992 9007199254740993}}{{gt 1E3 999}}", "truetrue"},
			{"{{and name port}}{{and name empty}}{{or empty name}}{{or empty unknown}}{{and name unknown}}{{not empty}}{{not name}}", "truefalsetruefalsefalsetruefalse"},
			{"{{#if (and (eq name 'web') (not (eq port '1')))}}ok{{/if}}", "ok"},
			{"{{#and name port}}a{{else}}b{{/and}}{{#or empty none}}a{{else}}b{{/or}}{{#not name}}a{{else}}b{{/not}}", "abb"},
			{"{{len args}}{{len env}}{{len name}}{{len 5}}{{len 'ü'}}", "33302"},
			{"{{lookup env 'A'}}{{lookup args 1}}{{lookup nested.list.[0] 'k'}}", "1bv0"},
			{`{{lookup env "a b"}}{{eq "\"\\\/\b\f\n\r\t\u0041" '"\\/` + "\b\f\n\r\t" + `A'}}{{eq 'it\'s' "it's"}}`, "3truetrue"},
			{"{{#each (lookup nested 'lists')}}{{len this}}{{/each}}", "12"},
			{"{{#if (gt (len args) 2)}}many{{/if}}", "many"},
			{"{{lt '1e2' 1000}}{{lt '-0.5E+1' -4}}{{lt 1.5 '2'}}", "truetruetrue"},
			{"{{lt '1e' 5}}{{lt '1.' 5}}{{lt '' 5}}{{lt '01' 5}}{{lt '1e999' 5}}{{lt '1x' 5}}{{lt name args}}", "falsefalsefalsefalsefalsefalsefalse"},
			{"{{#if (lookup env 'unknown')}}a{{else}}b{{/if}}", "b"},
			{"{{ eq  name\n  'web' }}", "true"},
		}},
		{"comments and escapes", [][2]string{
			{"a{{! comment }}b{{!-- with }} braces --}}c{{!}}d{{!----}}e", "abcde"},
			{"a{{!-- -- --- -}} ---}}b", "ab"},
			{"a{{!-- unfinished }}b", "ab"},
			{"a {{~! x ~}} b {{~!-- x --~}} c", "abc"},
			{`\{{name}}`, "{{name}}"},
			{`\{{{name}}} \{{{{x}}}}`, "{{{name}}} {{{{x}}}}"},
			{`\\{{name}} \\\{{name}}`, `\web \\web`},
			{`\ \\ {{name}}\`, `\ \\ web\`},
			{`a\{{b}}\{{c}}{{name}}\{{d`, "a{{b}}{{c}}web{{d"},
			{`\{{name}}` + "\n  {{#if name}}\n\\{{x}}\n  {{/if}}\n", "{{name}}\n{{x}}\n"},
		}},
		{"white space control", [][2]string{
			{"a \n {{~name~}} \n b", "awebb"},
			{"a {{~name}} b {{name~}} c", "aweb b webc"},
			{"a {{~{name}~}} b {{{~name~}}} c {{~&name~}} d", "awebbwebcwebd"},
			{"a {{~#if name~}} b {{~else~}} c {{~/if~}} d", "abd"},
			{"{{#if empty}}\nA\n   {{~else if name}}\nB\n{{/if}}", "B\n"},
			{"{{#each args~}}\n  {{this}}\n{{~/each}}", "abc"},
			{"a\u00a0{{~name~}}\u2003b", "awebb"},
		}},
		{"lines of their own", [][2]string{
			{"a\n{{#if name}}\n  b\n{{/if}}\nc\n", "a\n  b\nc\n"},
			{"a\r\n{{#if name}}\r\n  b\r\n{{/if}}\r\nc\r\n", "a\r\n  b\r\nc\r\n"},
			{"a\n\t{{#if name}} \n  b\n  {{else}}\n  c\n  {{/if}}  \nd", "a\n  b\nd"},
			{"  {{#if empty}}\n  b\n  {{else if name}}\n  c\n  {{/if}}\n  d", "  c\n  d"},
			{"{{#if name}}x{{/if}}\ny", "x\ny"},
			{"x {{#if name}}\ny\n{{/if}}\nz", "x \ny\nz"},
			{"a\n  {{! comment }}\nb\n  {{!-- more --}}  \nc", "a\nb\nc"},
			{"a\n  {{name}}\nb", "a\n  web\nb"},
			{"<\n  {{#each args}}\n    {{! c }}\n    {{this}}\n  {{/each}}", "<\n    a\n    b\n    c\n"},
			{"<\n  {{#each args}}\n    {{this}}\n  {{/each}}>", "<\n    a\n      b\n      c\n  >"},
			{"{{#each args}}\n- {{this}}\n{{/each}}\n", "- a\n- b\n- c\n"},
			{"{{#if name}}{{#if port}}\nx\n{{/if}}{{/if}}\n", "\nx\n\n"},
			{"{{#if name}}\n{{#if port}}\nx\n{{/if}}\n{{/if}}\n", "x\n"},
			{"{{#if name}}\n\n{{/if}}\n", "\n"},
			{"{{! a }}\n{{! b }}\nc", "c"},
		}},
		{"indent", [][2]string{
			{"a:\n  {{> indent content=lines}}\nb", "a:\n  one\n  two\nb"},
			{"\t{{>indent content=lines}}", "\tone\n\ttwo\n"},
			{"a:\n    {{> indent content=name}}\nb", "a:\n    webb"},
			{"a:\n    {{> indent content=empty}}\nb", "a:\nb"},
			{"a: {{> indent content=lines}}b", "a: one\n two\nb"},
			{"a:{{> indent content=lines}}b", "a:one\ntwo\nb"},
			{"a\n  {{~> indent content=lines}}\nb", "aone\ntwo\nb"},
			{"{{#each args as |v|}}\n  {{> indent content=v}}\n{{/each}}\n", "  a  b  c"},
			{"  {{> indent content='x\\n\\ny'}}\nz", "  x\n  \n  yz"},
			{"  {{> indent content='\\nx\\n'}}\nz", "\n  x\nz"},
			{"  {{> indent content=args}}\nz", "  [a, b, c]z"},
			{" {{> indent content=1.5}}\n {{> indent content=null}}\n {{> indent content=(len args)}}\n {{> indent content=true}}\n", " 1.5 3 true"},
			{"  {{> indent content=(lookup env 'A')}}\nz", "  1z"},
			{"  {{> indent content=nested.deep.x ~}}\n\n z", "  yz"},
		}},
	} {
		t.Run(group.about, func(t *testing.T) {
			for _, c := range group.cases {
				got, err := render(c[0])
				if err != nil || got != c[1] {
					t.Errorf("%q renders to %q (%v) instead of %q", c[0], got, err, c[1])
				}
			}
		})
	}
}

func TestAnErrorSaysWhatAndWhere(t *testing.T) {
	for _, c := range []struct {
		text string
		kind error
		want string
	}{
		// Names.
		{"a\n b {{prt}}", template.ErrUnknownName, "line 2, column 6: 'prt' is not among the values: names are args, empty, env, größe, html, lines, log, name, nested, none, port, this-"},
		{"ü{{nested.deep.z}}", template.ErrUnknownName, "line 1, column 4: 'z' of 'nested.deep.z' is not among the values: names are x"},
		{"{{args.3}}", template.ErrUnknownName, "'3' of 'args.3' is not among the values: the list has the positions 0 to 2"},
		{"{{args.x}}", template.ErrUnknownName, "the list has the positions 0 to 2"},
		{"{{args.1234567890}}", template.ErrUnknownName, "positions 0 to 2"},
		{"{{eq 01 1}}", template.ErrUnknownName, "'01'"},
		{"{{#if (eq unknown 1)}}{{/if}}", template.ErrUnknownName, "'unknown'"},
		{"{{none.[0]}}", template.ErrUnknownName, "the list is empty"},
		{"{{name.x}}", template.ErrUnknownName, "it is asked of a text, which has no names"},
		{"{{#each nested.list}}{{name}}{{/each}}", template.ErrUnknownName, "'name' is not among the values: names are k; the outermost values have it: write @root.name"},
		{"{{#each args}}{{@key}}{{/each}}", template.ErrUnknownName, "'@key' has a value only when {{#each}} goes through a map; in a list use @index"},
		{"{{@index}}", template.ErrUnknownName, "'@index' has a value only inside {{#each}}"},
		{"{{#with nested.deep}}{{@first}}{{/with}}", template.ErrUnknownName, "'@first' has a value only inside {{#each}}"},
		{"{{#each unknown}}x{{/each}}", template.ErrUnknownName, "line 1, column 9: 'unknown' is not among the values"},
		{"{{#with unknown}}x{{/with}}", template.ErrUnknownName, "'unknown' is not among the values"},
		{"{{eq unknown 'x'}}", template.ErrUnknownName, "line 1, column 6: 'unknown'"},
		{"{{not unknown}}", template.ErrUnknownName, "'unknown'"},
		{"{{len unknown}}", template.ErrUnknownName, "'unknown'"},
		{"{{> indent content=unknown}}", template.ErrUnknownName, "line 1, column 20: 'unknown'"},
		{"{{lookup env 'x'}}", template.ErrUnknownName, "line 1, column 3: lookup finds nothing: names are A, B, a b; a list is asked by number, a map by text"},
		{"{{lookup args '0'}}", template.ErrUnknownName, "a list is asked by number"},
		{"{{lookup env unknown}}", template.ErrUnknownName, "'unknown'"},
		// Kinds.
		{"{{env}}", template.ErrType, "a map cannot be written as a text"},
		{"{{nested.list}}", template.ErrType, "a map cannot be written as a text"},
		{"{{#each name}}x{{/each}}", template.ErrType, "{{#each}} goes through a list or a map, and this is a text"},
		{"{{#each true}}x{{/each}}", template.ErrType, "this is true or false"},
		{"{{#with null}}x{{/with}}", template.ErrType, "null that is empty or false"},
		{"{{#each 5}}x{{/each}}", template.ErrType, "line 1, column 9: {{#each}} goes through a list or a map, and this is a number"},
		{"{{#with empty}}x{{/with}}", template.ErrType, "{{#with}} is given a text that is empty or false"},
		// Syntax.
		{"a {{name", template.ErrSyntax, "line 1, column 3: the tag that begins here has no end: add }}"},
		{"a {{name }", template.ErrSyntax, `line 1, column 10: }} as the end of the tag is missing before '}'; for braces that are no template write \{{`},
		{"{{", template.ErrSyntax, "no end"},
		{"{{#}}", template.ErrSyntax, "a name is missing before '}'"},
		{"{{/}}", template.ErrSyntax, "the name of the block to close is missing"},
		{"{{>}}", template.ErrSyntax, "a name is missing"},
		{"{{eq a b=}}", template.ErrSyntax, "a name is missing"},
		{"{{eq a (", template.ErrSyntax, "no end"},
		{"{{eq a b=", template.ErrSyntax, "no end"},
		{"{{eq a [", template.ErrSyntax, "the bracket that begins here has no end"},
		{`{{eq a "\`, template.ErrSyntax, "unknown escape"},
		{"{{}}", template.ErrSyntax, "a name is missing before '}'"},
		{"{{{name}}", template.ErrSyntax, "}}} as the end of the tag is missing"},
		{"{{.ID}}", template.ErrSyntax, `for braces that are no template write \{{`},
		{"{{a.}}", template.ErrSyntax, "a name is missing"},
		{"{{a.[x}}", template.ErrSyntax, "the bracket that begins here has no end"},
		{"{{'x'}}", template.ErrSyntax, "a name is missing"},
		{"{{#if name}}", template.ErrSyntax, "line 1, column 1: {{#if}} is not closed: add {{/if}}"},
		{"{{#if name}}{{else if port}}{{else}}", template.ErrSyntax, "line 1, column 1: {{#if}} is not closed"},
		{"{{#if name}}\n{{#each args}}{{/if}}", template.ErrSyntax, "line 2, column 15: {{/if}} closes nothing here: {{#each}} of line 2, column 1 is open"},
		{"{{/if}}", template.ErrSyntax, "{{/if}} closes nothing: no block is open"},
		{"{{else}}", template.ErrSyntax, "{{else}} belongs into a block"},
		{"{{^name}}{{/name}}", template.ErrSyntax, "write {{#unless x}}"},
		{"{{#if a}}{{else}}{{else}}{{/if}}", template.ErrSyntax, "a block has one {{else}}, as its last part: the one before was at line 1, column 10"},
		{"{{#if a}}{{else}}{{else if b}}{{/if}}", template.ErrSyntax, "a block has one {{else}}"},
		{"{{#if}}{{/if}}", template.ErrSyntax, "if takes one argument, not 0"},
		{"{{#if a b}}{{/if}}", template.ErrSyntax, "if takes one argument, not 2"},
		{"{{#if a x=1}}{{/if}}", template.ErrSyntax, "if knows no argument 'x'"},
		{"{{#if a includeZero=a}}{{/if}}", template.ErrSyntax, "includeZero is true or false"},
		{"{{#name}}{{/name}}", template.ErrSyntax, "there is no block 'name': known are and, each, eq, gt, gte, if, lt, lte, ne, not, or, unless, with"},
		{"{{#len a}}{{/len}}", template.ErrSyntax, "there is no block 'len'"},
		{"{{#if a as |x|}}{{/if}}", template.ErrSyntax, "{{#if}} gives 0 names at most, not 1"},
		{"{{#each a as |x y z|}}{{/each}}", template.ErrSyntax, "one or two names between bars"},
		{"{{#each a as x}}{{/each}}", template.ErrSyntax, "names between bars"},
		{"{{upper name}}", template.ErrSyntax, "line 1, column 3: there is no helper 'upper': known are and, eq, gt, gte, len, lookup, lt, lte, ne, not, or"},
		{"{{#if (name)}}{{/if}}", template.ErrSyntax, "there is no helper 'name'"},
		{"{{eq a}}", template.ErrSyntax, "eq takes two arguments, not 1"},
		{"{{eq (len a as |x|) 1}}", template.ErrSyntax, "len gives nothing a name"},
		{"{{#if (and )}}{{/if}}", template.ErrSyntax, "and takes one or more arguments, not 0"},
		{"{{eq (len a 1}}", template.ErrSyntax, "a closing parenthesis is missing"},
		{"{{eq a 'x}}", template.ErrSyntax, "line 1, column 8: the quoted text that begins here has no end: add '"},
		{`{{eq a "\x"}}`, template.ErrSyntax, "unknown escape"},
		{`{{eq a "\u12`, template.ErrSyntax, "unknown escape"},
		{"{{eq a [1]}}", template.ErrSyntax, "lists and maps cannot be written in a template"},
		{"{{eq a {}}}", template.ErrSyntax, "lists and maps cannot be written in a template"},
		{"{{@foo}}", template.ErrSyntax, "'@foo' is no name that a block sets"},
		{"{{@this}}", template.ErrSyntax, "is no name that a block sets"},
		{"{{@index.x}}", template.ErrSyntax, "is no name that a block sets"},
		{"{{> other}}", template.ErrSyntax, "there is no partial 'other': the only one is {{> indent content=x}}"},
		{"{{> indent name}}", template.ErrSyntax, "indent takes content=x and nothing else"},
		{"{{#> indent}}{{/indent}}", template.ErrSyntax, "partial blocks"},
		{"{{#*inline 'x'}}{{/inline}}", template.ErrSyntax, "inline partials"},
		{"{{* x}}", template.ErrSyntax, "decorators"},
		{"{{{{raw}}}}", template.ErrSyntax, "raw blocks"},
		{"{{! x", template.ErrSyntax, "the comment that begins here has no end"},
		{"{{" + strings.Repeat("x", 100) + " a}}", template.ErrSyntax, "'" + strings.Repeat("x", 60) + "...'"},
	} {
		_, err := render(c.text)
		var at *template.Error
		if !errors.Is(err, c.kind) || !errors.As(err, &at) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: the error is %q instead of %q", c.text, err, c.want)
		}
	}
}

func TestAnErrorListsSomeOfManyNames(t *testing.T) {
	many := dict{}
	for i := range 25 {
		many[fmt.Sprintf("name%02d", i)] = text("secret")
	}
	_, err := mustParse(t, "{{x}}").Render(many)
	if want := "name18, name19 and 5 more"; err == nil || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
		t.Errorf("the error is %q and should end with %q", err, want)
	}
	_, err = mustParse(t, "{{x}}").Render(nil)
	if want := "there are none"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("the error is %q and should end with %q", err, want)
	}
}

func TestLimitsEndWhatWouldTakeTooMuch(t *testing.T) {
	long := make(list, 1000)
	for i := range long {
		long[i] = text("x")
	}
	var deep template.Value = text("x")
	for range 200 {
		deep = list{deep}
	}
	wide := dict{}
	for i := range 100 {
		wide[fmt.Sprint(i)] = text("x")
	}
	hostile := dict{"wide": wide, "long": long, "deep": deep, "big": text(strings.Repeat("x", 1<<19)), "map": dict{"long": long}}
	nest := func(n int, open, inside, end string) string {
		return strings.Repeat(open, n) + inside + strings.Repeat(end, n)
	}
	for _, c := range []struct{ about, text, want string }{
		{"a template too long", strings.Repeat("x", template.MaxTemplate+1), "1048576 are allowed"},
		{"too many tags", strings.Repeat("{{!}}", template.MaxTags+1), "more than 20000 tags"},
		{"a map gone through again and again", "{{#each long}}{{#each @root.map}}{{/each}}{{#each @root.wide}}{{/each}}{{/each}}", "steps"},
		{"blocks too deep", nest(101, "{{#if a}}", "", "{{/if}}"), "more than 100 levels"},
		{"a chain too deep", "{{#if a}}" + strings.Repeat("{{else if a}}", 100) + "{{/if}}", "more than 100 levels"},
		{"parentheses too deep", "{{#if " + nest(101, "(not ", "a", ")") + "}}{{/if}}", "more than 100 levels"},
		{"each in each in each", nest(3, "{{#each @root.long}}", "", "{{/each}}"), "steps"},
		{"conditions in each in each", nest(2, "{{#each @root.long}}", "{{#if false}}{{/if}}", "{{/each}}"), "steps"},
		{"texts compared again and again", "{{#each long}}{{#each @root.long}}{{#eq @root.big @root.big}}{{/eq}}{{/each}}{{/each}}", "steps"},
		{"lists compared again and again", "{{#each long}}{{#eq @root.map @root.map}}{{/eq}}{{/each}}", "steps"},
		{"a result too long", "{{big}}{{big}}.", "longer than 1048576 bytes"},
		{"a result too long by indents", strings.Repeat(" ", 2000) + "{{> indent content='" + strings.Repeat(`\n`, 1000) + "'}}", "longer than"},
		{"a list too deep to write", "{{deep}}", "more than 100 levels deep"},
		{"lists too deep to compare", "{{eq deep deep}}", "more than 100 levels deep"},
	} {
		parsed, err := template.Parse(c.text)
		if err == nil {
			_, err = parsed.Render(hostile)
		}
		if !errors.Is(err, template.ErrLimit) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v", c.about, err)
		}
	}
	for _, just := range []string{
		strings.Repeat("x", template.MaxTemplate), nest(100, "{{#if long}}", "", "{{/if}}"), "{{big}}{{big}}",
		"{{#if " + nest(99, "(not ", "long", ")") + "}}{{/if}}",
	} {
		if _, err := mustParse(t, just).Render(hostile); err != nil {
			t.Errorf("just within the limits: %v", err)
		}
	}
	for limit, fits := range map[int]bool{2: false, 3: true} {
		for _, s := range []string{"{{name}}", "xyz"} {
			if _, err := mustParse(t, s).RenderWithin(values, limit); (err == nil) != fits || err != nil && !errors.Is(err, template.ErrLimit) {
				t.Errorf("%q within %d bytes: %v", s, limit, err)
			}
		}
	}
}

func TestNamesAreThoseOfTheOutermostValues(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "text": "", "{{a}}{{b.c}}{{a}}": "a b", "{{this.a}}{{./b}}{{@root.c}}{{[d e]}}": "a b c d e",
		"{{#each list as |v k|}}{{v}}{{k}}{{x}}{{../a}}{{@root.b}}{{@index}}{{/each}}{{v}}":             "a b list v",
		"{{#each l}}{{#each m}}{{../n}}{{../../a}}{{/each}}{{else}}{{e}}{{/each}}":                      "a e l",
		"{{#with w as |x|}}{{x.y}}{{z}}{{#if ../i}}{{/if}}{{/with}}":                                    "i w",
		"{{#if (eq a (lookup b 'c'))}}{{else if d}}{{else}}{{e}}{{/if}}{{> indent content=f}}{{len g}}": "a b d e f g",
	} {
		if got := strings.Join(mustParse(t, s).Names(), " "); got != want {
			t.Errorf("%q names %q instead of %q", s, got, want)
		}
	}
}

func TestATemplateIsRenderedByManyAtOnce(t *testing.T) {
	parsed := mustParse(t, "{{#each env as |v k|}}{{k}}={{v}}\n  {{> indent content=@root.lines}}\n{{/each}}{{args}}")
	want, err := parsed.Render(values)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if got, err := parsed.Render(values); got != want || err != nil {
					t.Errorf("one renders to %q (%v), another to %q", got, err, want)
				}
			}
		})
	}
	all.Wait()
}

func TestAMissingValueInAMapIsNoPanic(t *testing.T) {
	for _, s := range []string{"{{a}}", "{{#each l}}{{this}}{{/each}}", "{{l}}", "{{eq l l}}{{eq a a}}", "{{#each l as |v|}}{{v.x}}{{/each}}"} {
		if _, err := mustParse(t, s).Render(dict{"a": nil, "l": list{nil}}); err == nil && s != "{{eq l l}}{{eq a a}}" {
			t.Errorf("%q renders", s)
		}
	}
}
