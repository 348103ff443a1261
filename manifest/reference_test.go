package manifest

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what there is into the pages")

// TestTheReferenceIsCurrent compares the pages that are made of the table with
// the table.
func TestTheReferenceIsCurrent(t *testing.T) {
	for name, want := range map[string][]byte{"manifest.schema.json": Schema(), "manifest.md": reference()} {
		path := filepath.Join("..", "docs", name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		has, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(has, want) {
			t.Errorf("%s is not current: run go test ./manifest -update", path)
		}
	}
}

// reference writes the page about manifests.
func reference() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<!-- made by: go test ./manifest -update -->
# Manifests

%s

A field that is not known is ignored with a warning, or refused with `+"`--strict`"+`. What is wrong is told with its place in the file.
[manifest.schema.json](manifest.schema.json) is its JSON schema, for editors:

`+"```yaml"+`
# yaml-language-server: $schema=manifest.schema.json
`+"```"+`
`, oneLine(table.doc))
	describe(&b, table, "")
	return b.Bytes()
}

// describe writes the fields of an object, and of those within it.
func describe(b *bytes.Buffer, s *spec, path string) {
	for _, f := range s.fields {
		where := strings.TrimPrefix(path+"."+f.name, ".")
		fmt.Fprintf(b, "\n## `%s`\n\n*%s.* %s\n", where, strings.ToUpper(f.typeText()[:1])+f.typeText()[1:], oneLine(f.doc))
		choices := f.choices
		if f.element != nil {
			choices = f.element.choices
		}
		if len(choices) > 0 {
			b.WriteString("\n| word | meaning |\n|---|---|\n")
			for _, c := range choices {
				fmt.Fprintf(b, "| `%s` | %s |\n", c.word, c.doc)
			}
		}
		var facts []string
		if f.fallback != "" {
			facts = append(facts, "Default: "+f.fallback+".")
		}
		if f.limits != "" {
			facts = append(facts, "Limits: "+f.limits+".")
		}
		if f.alias != "" {
			facts = append(facts, "Also: `"+f.alias+"`.")
		}
		if f.since > 1 {
			facts = append(facts, fmt.Sprintf("Since feature level %d of the cluster.", f.since))
		}
		if len(facts) > 0 {
			fmt.Fprintf(b, "\n%s\n", strings.Join(facts, " "))
		}
		if f.example != "" {
			fmt.Fprintf(b, "\n```yaml\n%s\n```\n", strings.TrimSpace(f.example))
		}
	}
	for _, f := range s.fields {
		inner := f
		where := strings.TrimPrefix(path+"."+f.name, ".")
		for inner.element != nil {
			if inner.kind == kindList {
				where += "[]"
			} else {
				where += "." + inner.placeholder
			}
			inner = inner.element
		}
		if len(inner.fields) > 0 && (inner != ruleSpec || f.name == "allowRules") {
			describe(b, inner, where)
		}
	}
}

// TestEveryFieldIsDescribedAndRead walks the table.
func TestEveryFieldIsDescribedAndRead(t *testing.T) {
	var walk func(s *spec, path string)
	walk = func(s *spec, path string) {
		for _, f := range s.inner().fields {
			where := strings.TrimPrefix(path+"."+f.name, ".")
			if f.doc == "" || f.example == "" || f.since == 0 {
				t.Errorf("%s has no description, no example or no feature level", where)
			}
			if !f.required && f.fallback == "" && f.limits == "" {
				t.Errorf("%s is not required and has no default", where)
			}
			if !strings.HasPrefix(strings.TrimSpace(f.example), f.name+":") {
				t.Errorf("the example of %s is of something else: %s", where, f.example)
			}
			text, err := Explain(where)
			if err != nil || !strings.Contains(text, f.summary()) {
				t.Errorf("explain %s: %v\n%s", where, err, text)
			}
			for _, line := range strings.Split(text, "\n") {
				if len(line) > 600 {
					t.Errorf("a line of %s is %d long", where, len(line))
				}
			}
			walk(f, where)
		}
	}
	walk(table, "")
}

// TestTheWordsOfTheTableAreThoseThatAreRead keeps the table and the parser
// together.
func TestTheWordsOfTheTableAreThoseThatAreRead(t *testing.T) {
	check := func(path string, read []string) {
		s, _, err := find(path)
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, c := range s.inner().choices {
			words = append(words, c.word)
		}
		if strings.Join(words, " ") != strings.Join(read, " ") {
			t.Errorf("%s has the words %q, and %q are read", path, words, read)
		}
	}
	split := func(text string) []string {
		return strings.Fields(strings.NewReplacer(",", " ", " or ", " ").Replace(text))
	}
	check("workloads.restartPolicy", split(alternatives(restartPolicies)))
	check("workloads.dependencies", split(alternatives(conditions)))
	check("workloads.controlInterfaceAccess.allowRules.operation", split(alternatives(operations)))
	check("workloads.controlInterfaceAccess.allowRules.type", []string{ruleOfState, ruleOfLogs})
	check("apiVersion", []string{APIVersion})
}

// TestTheExamplesOfTheTableAreValid reads those at the top and of a workload.
func TestTheExamplesOfTheTableAreValid(t *testing.T) {
	read := func(name, text string) {
		if m, err := Parse([]byte(text), Options{Strict: true}); err != nil || len(m.Warnings) > 0 {
			t.Errorf("the example of %s: %v\n%s", name, err, text)
		}
	}
	for _, f := range table.fields {
		if f.name != "apiVersion" {
			read(f.name, "apiVersion: v1\n"+f.example)
		}
	}
	for _, f := range workloadSpec.fields {
		fields := strings.TrimSpace(f.example)
		for _, required := range workloadSpec.fields {
			if required.required && !strings.Contains("\n"+fields, "\n"+required.name+":") {
				fields += "\n" + strings.TrimSpace(required.example)
			}
		}
		read(f.name, "apiVersion: v1\nworkloads:\n  w:\n    "+strings.ReplaceAll(fields, "\n", "\n    "))
	}
}
