package tree_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/argosy-cluster/argosy/manifest/tree"
)

func mustRead(t *testing.T, text string) *tree.Node {
	t.Helper()
	n, err := tree.ReadYAML([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func path(text string) []string { return strings.Split(text, ".") }

const sample = `
apiVersion: v1
workloads:
  nginx:
    agent: agent_A
    files: [{mountPoint: /a, data: x}, {mountPoint: /b, data: y}]
`

func TestGetFollowsFieldsAndIndexes(t *testing.T) {
	root := mustRead(t, sample)
	for where, want := range map[string]string{
		"apiVersion":                         "v1",
		"workloads.nginx.agent":              "agent_A",
		"workloads.nginx.files.1.mountPoint": "/b",
	} {
		if got := root.Get(path(where)...).Text(); got != want {
			t.Errorf("%s is %q, want %q", where, got, want)
		}
	}
}

func TestGetOfWhatIsNotThereIsNil(t *testing.T) {
	root := mustRead(t, sample)
	for _, where := range []string{"x", "workloads.x.agent", "apiVersion.x", "workloads.nginx.files.2", "workloads.nginx.files.-1", "workloads.nginx.files.01", "workloads.nginx.files.+1", "workloads.nginx.files.x"} {
		if n := root.Get(path(where)...); n != nil {
			t.Errorf("%s is %s", where, n.JSON())
		}
	}
	if n := (*tree.Node)(nil); n.Get("a") != nil || n.Len() != 0 || n.Text() != "" || n.Kind() != tree.Absent {
		t.Error("the nil node is not empty")
	}
}

func TestSetMakesWhatIsMissingAndLeavesTheTreeBefore(t *testing.T) {
	root := mustRead(t, sample)
	before := string(root.JSON())
	after, err := root.Set(tree.NewText("1"), "workloads", "new", "tags", "a")
	if err != nil {
		t.Fatal(err)
	}
	if got := after.Get("workloads", "new", "tags", "a").Text(); got != "1" {
		t.Errorf("the new field is %q", got)
	}
	if string(root.JSON()) != before {
		t.Error("the tree before has changed")
	}
	if after.Get("workloads", "nginx") != root.Get("workloads", "nginx") {
		t.Error("what did not change is not shared")
	}
}

func TestSetThroughWhatIsNotAMapFails(t *testing.T) {
	root := mustRead(t, sample)
	for _, where := range []string{"apiVersion.x", "workloads.nginx.files.0", "workloads.nginx.files.0.data"} {
		if n, err := root.Set(tree.NewText("1"), path(where)...); !errors.Is(err, tree.ErrNoField) || n != nil {
			t.Errorf("set %s: %v and %v", where, n, err)
		}
	}
}

func TestDelete(t *testing.T) {
	root := mustRead(t, sample)
	after, err := root.Delete("workloads", "nginx", "agent")
	if err != nil || after.Get("workloads", "nginx", "agent") != nil || after.Get("workloads", "nginx").Len() != 1 {
		t.Errorf("deleted to %s, %v", after.JSON(), err)
	}
	if after, err := root.Delete("workloads", "other"); err != nil || !tree.Equal(after, root) {
		t.Errorf("deleting a field that is not there gave %v", err)
	}
	for _, where := range []string{"workloads.other.agent", "x.y", "apiVersion.x", "workloads.nginx.files.0"} {
		if _, err := root.Delete(path(where)...); !errors.Is(err, tree.ErrNoField) {
			t.Errorf("delete %s: %v", where, err)
		}
	}
}

func TestCountsAreNumbersAndTextsAreNot(t *testing.T) {
	root := mustRead(t, "{a: 5, b: '5', c: 18446744073709551615, d: 007, e: -1, f: 1.5, g: true, h: 18446744073709551616}")
	for name, want := range map[string]tree.Kind{"a": tree.Count, "b": tree.Text, "c": tree.Count, "d": tree.Text, "e": tree.Text, "f": tree.Text, "g": tree.Text, "h": tree.Text} {
		if got := root.Get(name).Kind(); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if n, ok := root.Get("c").Count(); !ok || n != 1<<64-1 {
		t.Errorf("c is %d, %v", n, ok)
	}
	if _, ok := root.Get("b").Count(); ok {
		t.Error("a text is a number")
	}
	if got := string(root.JSON()); got != `{"a":5,"b":"5","c":18446744073709551615,"d":"007","e":"-1","f":"1.5","g":"true","h":"18446744073709551616"}` {
		t.Error(got)
	}
}

func TestYAMLIsOrderedAndQuoted(t *testing.T) {
	root := mustRead(t,
		`{b: {list: [x, {m: 1, apiVersion: q}, [z, []], {}, "a: b"]}, apiVersion: v1, a: "no", "2": "two\nlines\n\n  more", c: "x\n"}`)
	want := `apiVersion: v1
"2": |-
  two
  lines

    more
a: "no"
b:
  list:
    - x
    - apiVersion: q
      m: 1
    -
      - z
      - []
    - {}
    - "a: b"
c: "x\n"
`
	if got := string(root.YAML()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCharactersThatReadersOfYAMLRefuseAreEscaped(t *testing.T) {
	for text, want := range map[string]string{
		"a\x7f\u0085": `"a\u007f\u0085"` + "\n",
		"\ufeffa\nb":  `"\ufeffa\nb"` + "\n",
		"\u00e9":      "\"\u00e9\"\n",
	} {
		if got := string(tree.NewText(text).YAML()); got != want {
			t.Errorf("%q is written %s, want %s", text, got, want)
		}
	}
}

// texts are texts that writers and readers of YAML are known to disagree on, and
// any others.
func texts() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", " ", "null", "~", "No", "1", "1e3", "0x1F", ".inf", "- a", "? a", "#", "a #b", "a: b", "*a", "&a", "!a", "|", ">", "%a", "@", "`", "{", "]", "---", "...", "\u0085", "\u2028", "\ufeff", "\u00a0", "\x7f", "\x00", "\U0001f600", "a\n\n", "\n", "\na", " a\nb", "a\n b", "a\nb ", "a\r\nb", "a\tb\nc", "<<", "=", "2001-01-01", "1:30"}),
		rapid.StringMatching(`[a-z #:'"|>{}\[\],&*!%@\\-]{0,12}(\n[a-z #:'"|>-]{0,12}){0,3}`),
		rapid.String(),
	)
}

func nodes(depth int) *rapid.Generator[*tree.Node] {
	return rapid.Custom(func(t *rapid.T) *tree.Node {
		switch kind := rapid.IntRange(0, 7).Draw(t, "kind"); {
		case kind < 3 || depth == 0:
			return tree.NewText(texts().Draw(t, "text"))
		case kind == 3:
			return tree.NewCount(rapid.Uint64().Draw(t, "count"))
		case kind == 4:
			return tree.NewList(rapid.SliceOfN(nodes(depth-1), 0, 4).Draw(t, "items"))
		default:
			names := texts().Filter(func(s string) bool { return s != "" })
			return tree.NewMap(rapid.MapOfN(names, nodes(depth-1), 0, 4).Draw(t, "fields"))
		}
	})
}

func TestWhatIsWrittenIsReadBackTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := nodes(3).Draw(t, "tree")
		if got, err := tree.ReadJSON(want.JSON()); err != nil || !tree.Equal(got, want) {
			t.Fatalf("JSON %s was read as %s, %v", want.JSON(), got.JSON(), err)
		}
		if got, err := tree.ReadYAML(want.YAML()); err != nil || !tree.Equal(got, want) {
			t.Fatalf("YAML\n%s\nof %s was read as %s, %v", want.YAML(), want.JSON(), got.JSON(), err)
		}
		if got, err := tree.ReadYAML(want.JSON()); err != nil || !tree.Equal(got, want) {
			t.Fatalf("JSON %s was read as the YAML %s, %v", want.JSON(), got.JSON(), err)
		}
		if text, err := json.Marshal(want); err != nil || !json.Valid(text) {
			t.Fatalf("%v", err)
		}
	})
}

func TestMapsAreAsAMapWouldBe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model, n := map[string]string{}, tree.NewMap(nil)
		type version struct {
			model map[string]string
			n     *tree.Node
		}
		var versions []version
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			name := strconv.Itoa(rapid.IntRange(0, 20).Draw(t, "name"))
			if rapid.Bool().Draw(t, "delete") {
				delete(model, name)
				n = n.With(name, nil)
			} else {
				model[name] = rapid.StringMatching(`[ab]`).Draw(t, "value")
				n = n.With(name, tree.NewText(model[name]))
			}
			versions = append(versions, version{maps.Clone(model), n})
		}
		for _, v := range versions {
			mustBe(t, v.n, v.model)
		}
		if len(versions) > 1 {
			a := versions[rapid.IntRange(0, len(versions)-1).Draw(t, "a")]
			b := versions[rapid.IntRange(0, len(versions)-1).Draw(t, "b")]
			mustDiffer(t, a.n, b.n, a.model, b.model)
		}
	})
}

func mustBe(t *rapid.T, n *tree.Node, model map[string]string) {
	fields := map[string]*tree.Node{}
	var names []string
	for name, value := range n.Children() {
		names = append(names, name)
		fields[name] = value
		if value.Text() != model[name] {
			t.Fatalf("%s is %q, want %q", name, value.Text(), model[name])
		}
	}
	if !slices.Equal(names, slices.Sorted(maps.Keys(model))) || n.Len() != len(model) {
		t.Fatalf("%d fields %v, want %v", n.Len(), names, model)
	}
	if fresh := tree.NewMap(fields); !tree.Equal(n, fresh) {
		t.Fatalf("%s does not equal %s", n.JSON(), fresh.JSON())
	}
}

func mustDiffer(t *rapid.T, a, b *tree.Node, before, after map[string]string) {
	if tree.Equal(a, b) != maps.Equal(before, after) {
		t.Fatalf("%s and %s are equal: %v", a.JSON(), b.JSON(), tree.Equal(a, b))
	}
	var names []string
	seen := map[string]bool{}
	tree.Changed(a, b, func(name string, x, y *tree.Node) {
		names = append(names, name)
		seen[name] = true
		if x != a.Child(name) || y != b.Child(name) {
			t.Fatalf("%s was not visited with its values", name)
		}
	})
	if !slices.IsSorted(names) || len(seen) != len(names) {
		t.Fatalf("visited %v", names)
	}
	for i := range 21 {
		if name := strconv.Itoa(i); !seen[name] && !tree.Equal(a.Child(name), b.Child(name)) {
			t.Fatalf("the change of %s was not visited", name)
		}
	}
}

func TestChangedPassesByWhatIsShared(t *testing.T) {
	before := many(10_000)
	after, err := before.Set(tree.NewText("other"), "w5000", "agent")
	if err != nil {
		t.Fatal(err)
	}
	after = after.With("new", tree.NewText("x")).With("w7", nil)
	var names []string
	tree.Changed(before, after, func(name string, _, _ *tree.Node) { names = append(names, name) })
	if !slices.Equal(names, []string{"new", "w5000", "w7"}) {
		t.Error(names)
	}
	copied, err := tree.ReadJSON(after.JSON())
	if err != nil || !tree.Equal(copied, after) || tree.Equal(copied, before) {
		t.Error("a copy is not equal")
	}
}

func many(n int) *tree.Node {
	fields := map[string]*tree.Node{}
	for i := range n {
		fields["w"+strconv.Itoa(i)] = tree.NewMap(map[string]*tree.Node{"agent": tree.NewText("a")})
	}
	return tree.NewMap(fields)
}

func TestChangedOfOtherKinds(t *testing.T) {
	collect := func(before, after string) string {
		var all []string
		tree.Changed(mustRead(t, before), mustRead(t, after), func(name string, b, a *tree.Node) {
			all = append(all, fmt.Sprintf("%s %s %s", name, b.JSON(), a.JSON()))
		})
		return strings.Join(all, "; ")
	}
	for _, test := range []struct{ before, after, want string }{
		{"[a, b]", "[a]", `0 "a" "a"; 1 "b" null`},
		{"[]", "[a]", `0 null "a"`},
		{"{x: y}", "[a]", `x "y" null; 0 null "a"`},
		{"{x: y}", "text", `x "y" null`},
		{"a", "b", ""},
	} {
		if got := collect(test.before, test.after); got != test.want {
			t.Errorf("%s to %s: %s, want %s", test.before, test.after, got, test.want)
		}
	}
}
