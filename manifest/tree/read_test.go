package tree_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/manifest/tree"
)

func TestReadYAML(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"empty":                     {"", `{}`},
		"comment":                   {"# nothing\n", `{}`},
		"null":                      {"~", `{}`},
		"null fields":               {"a:\nb: ~\nc: [~, x]", `{"c":["","x"]}`},
		"anchors":                   {"a: &x {b: 1}\nc: *x", `{"a":{"b":1},"c":{"b":1}}`},
		"an anchor again":           {"a: &x 1\nb: *x\nc: &x 2\nd: *x", `{"a":1,"b":1,"c":2,"d":2}`},
		"merge":                     {"a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", `{"a":{"b":1,"c":2},"d":{"b":1,"c":3}}`},
		"merge of several":          {"a: &x {b: 1}\nc: &y {b: 2, d: 2}\ne: {<<: [*x, *y]}", `{"a":{"b":1},"c":{"b":2,"d":2},"e":{"b":1,"d":2}}`},
		"null wins over a merge":    {"a: &x {b: 1}\nc: {<<: *x, b: ~}", `{"a":{"b":1},"c":{}}`},
		"tag":                       {"a: !!str 5", `{"a":5}`},
		"block":                     {"a: |\n  b\n  c\nd: >\n  e\n  f\n", `{"a":"b\nc\n","d":"e f\n"}`},
		"names that are no strings": {"{1: a, true: b}", `{"1":"a","true":"b"}`},
		"one document":              {"---\na: b\n---\n", `{"a":"b"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tree.ReadYAML([]byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if string(got.JSON()) != test.want {
				t.Errorf("got %s, want %s", got.JSON(), test.want)
			}
		})
	}
}

func TestReadYAMLRefuses(t *testing.T) {
	laughs := "a0: &a0 [xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]\n"
	for i := 1; i < 30; i++ {
		laughs += fmt.Sprintf("a%d: &a%d [*a%d, *a%d, *a%d]\n", i, i, i-1, i-1, i-1)
	}
	chain := "a0: &a0 " + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "\na1: " + strings.Repeat("[", 40) + "*a0" + strings.Repeat("]", 40)
	for name, test := range map[string]struct{ text, want string }{
		"syntax":            {"a: [b", "line 1"},
		"not UTF-8":         {"a: \xff", "not UTF-8"},
		"twice":             {"a: 1\na: 2", "line 2"},
		"two documents":     {"a: 1\n---\nb: 2\n", "line 3"},
		"no anchor":         {"a: *x", "'x'"},
		"itself":            {"a: &x [*x]", "'x'"},
		"names":             {"[a]: b", "key"},
		"empty name":        {"'': b", "name"},
		"merge of a text":   {"a: {<<: b}", "merge"},
		"billion laughs":    {laughs, "too large"},
		"chained depth":     {chain, "too deeply"},
		"depth":             {strings.Repeat("[", 65) + strings.Repeat("]", 65), "too deeply"},
		"depth of brackets": {strings.Repeat("{a: ", 100_000), "too deeply"},
		"depth of dashes":   {strings.Repeat("- ", 100_000), "too deeply"},
		"depth of tags":     {strings.Repeat("!a ", 100_000), "too deeply"},
		"depth of lines":    {indented(2000), "too deeply"},
		"size":              {strings.Repeat(" ", tree.MaxSize+1), "split it"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tree.ReadYAML([]byte(test.text))
			if !errors.Is(err, tree.ErrInvalid) || got != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %.200s and %.200v", got.JSON(), err)
			}
		})
	}
}

func indented(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestReadTakesTheGreatestDepth(t *testing.T) {
	deep := strings.Repeat(`{"a":`, tree.MaxDepth-1) + "{}" + strings.Repeat("}", tree.MaxDepth-1)
	n, err := tree.ReadJSON([]byte(deep))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := tree.ReadYAML(n.YAML()); err != nil || !tree.Equal(again, n) {
		t.Errorf("as YAML: %v", err)
	}
}

func TestReadJSON(t *testing.T) {
	for text, want := range map[string]string{
		`null`:                                `{}`,
		`{"b":[1,null,-1,1.0,true],"a":null}`: `{"b":[1,"","-1","1.0","true"]}`,
		`"x"`:                                 `"x"`,
	} {
		if got, err := tree.ReadJSON([]byte(text)); err != nil || string(got.JSON()) != want {
			t.Errorf("%s was read as %s, %v", text, got.JSON(), err)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "unfinished": `{"a":`, "more": `{} {}`, "twice": `{"a":1,"a":2}`, "empty name": `{"":1}`,
		"depth": strings.Repeat("[", 65) + strings.Repeat("]", 65), "great depth": strings.Repeat("[", 1_000_000), "comma": `[1,]`, "not UTF-8": "\"\xff\"",
	} {
		if got, err := tree.ReadJSON([]byte(text)); !errors.Is(err, tree.ErrInvalid) || got != nil {
			t.Errorf("%s: got %s and %v", name, got.JSON(), err)
		}
	}
}

func FuzzReadYAML(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("a: &x {b: 1, c: |\n  x\n}\nd: {<<: *x, e: [*x]}\n"))
	f.Add([]byte("? a\n: !!str b\n'': ~"))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := tree.ReadYAML(text)
		if (n == nil) == (err == nil) {
			t.Fatalf("node %v and error %v", n, err)
		}
		if err != nil {
			return
		}
		if again, err := tree.ReadYAML(n.YAML()); err != nil || !tree.Equal(again, n) {
			t.Fatalf("%s is written\n%s\nand read as %s, %v", n.JSON(), n.YAML(), again.JSON(), err)
		}
	})
}

func FuzzReadJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,"x",null,{"b":true}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := tree.ReadJSON(text)
		if (n == nil) == (err == nil) {
			t.Fatalf("node %v and error %v", n, err)
		}
		if err != nil {
			return
		}
		if again, err := tree.ReadJSON(n.JSON()); err != nil || !tree.Equal(again, n) {
			t.Fatalf("%s is read as %s, %v", n.JSON(), again.JSON(), err)
		}
	})
}
