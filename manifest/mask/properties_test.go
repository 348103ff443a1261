package mask_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/argosy-cluster/argosy/manifest/mask"
	"github.com/argosy-cluster/argosy/manifest/tree"
)

// leaves returns the values of all scalars and of empty maps and lists by their
// paths.
func leaves(n *tree.Node) map[string]string {
	all := map[string]string{}
	collect(n, nil, all)
	return all
}

func collect(n *tree.Node, path []string, all map[string]string) {
	if n != nil && n.Len() == 0 {
		all[strings.Join(path, ".")] = fmt.Sprint(n.Kind(), " ", n.Text())
	}
	for name, child := range n.Children() {
		collect(child, append(slices.Clone(path), name), all)
	}
}

// selects is what a mask means, in the plainest words.
func selects(masks []mask.Mask, path string) bool {
	names := strings.Split(path, ".")
	if path == "" {
		names = nil
	}
	return slices.ContainsFunc(masks, func(m mask.Mask) bool {
		if len(m) > len(names) {
			return false
		}
		for i, segment := range m {
			if segment != mask.Any && segment != names[i] {
				return false
			}
		}
		return true
	})
}

func within(path string, of []string) bool {
	return slices.ContainsFunc(of, func(p string) bool { return path == p || strings.HasPrefix(path, p+".") })
}

// isPart tells whether one tree is a part of another: of a list some items in
// their order.
func isPart(part, whole *tree.Node) bool {
	if part == whole {
		return true
	}
	if part.Kind() != whole.Kind() || part.Text() != whole.Text() {
		return false
	}
	if part.Kind() == tree.List {
		rest := slices.Collect(whole.Items())
		for item := range part.Items() {
			i := slices.IndexFunc(rest, func(other *tree.Node) bool { return isPart(item, other) })
			if i < 0 {
				return false
			}
			rest = rest[i+1:]
		}
		return true
	}
	for name, child := range part.Children() {
		if !isPart(child, whole.Child(name)) {
			return false
		}
	}
	return true
}

// mustHold checks what holds for any two states and any masks.
func mustHold(t interface{ Fatalf(string, ...any) }, before, after *tree.Node, masks *mask.Set) {
	if part := mask.Filter(after, masks); !isPart(part, after) && part.Len() > 0 {
		t.Fatalf("%s of %s is not a part of it", part.JSON(), after.JSON())
	}
	if same := mask.Diff(after, after, masks); !same.None() || same.State.Len() > 0 {
		t.Fatalf("a state differs from itself in %+v", same)
	}
	copied, err := tree.ReadJSON(after.JSON())
	if err != nil {
		t.Fatalf("%v", err)
	}
	if same := mask.Diff(after, copied, masks); !same.None() {
		t.Fatalf("%s differs from its copy in %+v", after.JSON(), same)
	}
	changes := mask.Diff(before, after, masks)
	if !isPart(changes.State, after) && changes.State.Len() > 0 {
		t.Fatalf("%s of %s is not a part of it", changes.State.JSON(), after.JSON())
	}
	if len(changes.Added)+len(changes.Updated) == 0 && changes.State.Len() > 0 {
		t.Fatalf("%s is shown for no change", changes.State.JSON())
	}
	mustDiffer(t, before, after, masks, changes)
}

func mustDiffer(t interface{ Fatalf(string, ...any) }, before, after *tree.Node, masks *mask.Set, changes *mask.Changes) {
	all := slices.Concat(changes.Added, changes.Updated, changes.Removed)
	for kind, paths := range map[string][]string{"added": changes.Added, "updated": changes.Updated, "removed": changes.Removed} {
		for _, path := range paths {
			b, a := before.Get(strings.Split(path, ".")...), after.Get(strings.Split(path, ".")...)
			fine := map[string]bool{
				"added":   b.Len() == 0 && b.Text() == "" && a != nil,
				"updated": b != nil && a != nil,
				"removed": a.Len() == 0 && a.Text() == "" && b != nil,
			}[kind]
			if !fine || tree.Equal(b, a) {
				t.Fatalf("%s is reported as %s, it was %s and is %s", path, kind, b.JSON(), a.JSON())
			}
			if !selects(masks.Masks(), path) {
				t.Fatalf("%s is reported, which no mask selects", path)
			}
			others := slices.DeleteFunc(slices.Clone(all), func(other string) bool { return other == path })
			if within(path, others) || len(others) != len(all)-1 {
				t.Fatalf("%s is reported twice in %+v", path, changes)
			}
		}
	}
	was, is := leaves(before), leaves(after)
	for _, side := range []map[string]string{was, is} {
		for path := range side {
			if was[path] != is[path] && selects(masks.Masks(), path) && path != "" && !within(path, all) {
				t.Fatalf("the change of %s from %q to %q is not reported in %+v", path, was[path], is[path], changes)
			}
		}
	}
}

// plain are names without rules of their own.
var plain = []string{"a", "b", "c", "0", "1"}

func states(names []string, depth int) *rapid.Generator[*tree.Node] {
	return rapid.Custom(func(t *rapid.T) *tree.Node {
		kind := rapid.IntRange(0, 9).Draw(t, "kind")
		switch {
		case depth == 0 || kind == 0:
			return tree.NewText(rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "text"))
		case kind == 1:
			return tree.NewCount(rapid.Uint64Range(0, 1).Draw(t, "count"))
		case kind <= 3:
			return tree.NewList(rapid.SliceOfN(states(names, depth-1), 0, 3).Draw(t, "items"))
		default:
			return tree.NewMap(rapid.MapOfN(rapid.SampledFrom(names), states(names, depth-1), 0, 3).Draw(t, "fields"))
		}
	})
}

func masks(segments []string) *rapid.Generator[*mask.Set] {
	return rapid.Custom(func(t *rapid.T) *mask.Set {
		one := rapid.Custom(func(t *rapid.T) mask.Mask {
			return rapid.SliceOfN(rapid.SampledFrom(segments), 0, 4).Draw(t, "segments")
		})
		return mask.NewSet(rapid.SliceOfN(one, 0, 4).Draw(t, "masks")...)
	})
}

// edited returns a state that shares much with another.
func edited(t *rapid.T, n *tree.Node) *tree.Node {
	for range rapid.IntRange(0, 3).Draw(t, "edits") {
		path := rapid.SliceOfN(rapid.SampledFrom(plain), 1, 4).Draw(t, "path")
		next, err := n.Set(states(plain, 2).Draw(t, "value"), path...)
		if rapid.Bool().Draw(t, "delete") {
			next, err = n.Delete(path...)
		}
		if err == nil {
			n = next
		}
	}
	return n
}

func TestWhatHoldsForAnyStates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := states(plain, 4).Draw(t, "before")
		after := edited(t, before)
		if rapid.Bool().Draw(t, "unrelated") {
			after = states(plain, 4).Draw(t, "after")
		}
		mustHold(t, before, after, masks(append(plain, mask.Any)).Draw(t, "masks"))
	})
}

func TestFilterShowsWhatMasksSelectAndNothingElse(t *testing.T) {
	names := []string{"a", "b", "c"}
	maps := rapid.Custom(func(t *rapid.T) *tree.Node {
		n := tree.NewMap(nil)
		for range rapid.IntRange(0, 8).Draw(t, "fields") {
			path := rapid.SliceOfN(rapid.SampledFrom(names), 1, 4).Draw(t, "path")
			if next, err := n.Set(tree.NewText("x"), path...); err == nil {
				n = next
			}
		}
		return n
	})
	rapid.Check(t, func(t *rapid.T) {
		n, m := maps.Draw(t, "state"), masks(append(names, mask.Any)).Draw(t, "masks")
		got := leaves(mask.Filter(n, m))
		for path := range leaves(n) {
			if _, shown := got[path]; shown != selects(m.Masks(), path) && path != "" {
				t.Fatalf("%s is shown: %v", path, shown)
			}
		}
	})
}

func TestWhatIsUpdatedIsSeen(t *testing.T) {
	names := []string{"a", "b", "c"}
	rapid.Check(t, func(t *rapid.T) {
		wrap := func(n *tree.Node) *tree.Node {
			return tree.NewMap(map[string]*tree.Node{"desiredState": n})
		}
		current, other := wrap(states(names, 3).Draw(t, "current")), wrap(states(names, 3).Draw(t, "other"))
		m := append(mask.Mask{"desiredState"}, rapid.SliceOfN(rapid.SampledFrom(names), 0, 3).Draw(t, "mask")...)
		set := mask.NewSet(m)
		got, err := mask.Update(current, other, set)
		if err != nil {
			if got != nil || err.Error() != "Could not find field "+m.String() {
				t.Fatalf("%v with %s", err, got.JSON())
			}
			return
		}
		if !tree.Equal(got.Get(m...), other.Get(m...)) {
			t.Fatalf("after the update of %s it is %s, want %s", m, got.Get(m...).JSON(), other.Get(m...).JSON())
		}
		if want := mask.Filter(other, set); !tree.Equal(mask.Filter(got, set), want) {
			t.Fatalf("%s is shown, want %s", mask.Filter(got, set).JSON(), want.JSON())
		}
		for _, list := range [][]string{mask.Diff(current, got, mask.NewSet(mask.Mask{})).Updated, mask.Diff(got, other, set).Updated} {
			if i := slices.IndexFunc(list, func(path string) bool { return !within(path, []string{m.String()}) }); i >= 0 {
				t.Fatalf("%s has changed with %s", list[i], m)
			}
		}
		if changes := mask.Diff(got, other, set); !changes.None() {
			t.Fatalf("the update differs from what was asked for: %+v", changes)
		}
	})
}

func FuzzMasks(f *testing.F) {
	f.Add("desiredState.workloads.*.agent *.*.0", "{desiredState: {apiVersion: v1, workloads: {a: {agent: x}}}}", sample)
	f.Add("workloadStates.*.*.*.state agents.*", sample, "{workloadStates: {a: {b: {c: {state: x, subState: y}}}}}")
	f.Add("*", "[a, b]", "{x: [], y: {}}")
	f.Fuzz(func(t *testing.T, texts, one, other string) {
		if len(one)+len(other) > 1000 {
			return
		}
		masks, err := mask.ParseSet(strings.Fields(texts))
		if err != nil {
			return
		}
		before, err := tree.ReadYAML([]byte(one))
		if err != nil {
			return
		}
		after, err := tree.ReadYAML([]byte(other))
		if err != nil || strings.ContainsAny(dotted(before)+dotted(after), ".*") {
			return
		}
		mustHold(t, before, after, masks)
		_ = masks.Needs()
		if updated, err := mask.Update(before, after, masks); (updated == nil) == (err == nil) && before.Kind() == tree.Map {
			t.Fatalf("updated to %v with %v", updated, err)
		}
	})
}

// dotted returns all names of a state: those with dots or stars look the same as
// paths of others.
func dotted(n *tree.Node) string {
	names := ""
	for name, child := range n.Children() {
		names += name + dotted(child)
	}
	return names
}
