package access_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/argosy-cluster/argosy/manifest/access"
	"github.com/argosy-cluster/argosy/manifest/mask"
)

// agrees tells whether a rule and a path are the same as far as both go.
func agrees(rule, path []string) bool {
	for i := range min(len(rule), len(path)) {
		if rule[i] != "*" && rule[i] != path[i] {
			return false
		}
	}
	return true
}

// allowsPath is what the reference says of a path without wildcards.
func allowsPath(rule, path []string) bool {
	return (len(rule) <= len(path) || rule[0] == "*") && agrees(rule, path)
}

// deniesPath is what the reference says of a path without wildcards, with what is
// effective.
func deniesPath(rule, path []string) bool {
	if agrees(rule, path) {
		return true
	}
	return len(path) > 0 && path[0] == "effectiveState" && rule[0] == "desiredState" &&
		agrees(rule, append([]string{"desiredState"}, path[1:]...))
}

// expand returns every path that a mask can stand for among some names, and
// everything below them down to a depth.
func expand(m, names []string, depth int) [][]string {
	paths := [][]string{nil}
	for i := range max(len(m), depth) {
		choice := names
		if i < len(m) && m[i] != "*" {
			choice = m[i : i+1]
		}
		var next [][]string
		for _, path := range paths {
			if i >= len(m) {
				next = append(next, path)
			}
			if i >= len(m) && len(path) < i {
				continue
			}
			for _, name := range choice {
				next = append(next, append(slices.Clone(path), name))
			}
		}
		paths = next
	}
	return paths
}

// model judges by trying every path: one allow rule must allow all of them, no
// deny rule may deny any.
func model(allow, deny, masks [][]string) bool {
	// A name that nobody mentions stands for all others.
	names := []string{"desiredState", "effectiveState", "fresh"}
	depth := 0
	for _, m := range slices.Concat(allow, deny, masks) {
		names = append(names, m...)
		depth = max(depth, len(m))
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == "*" })
	slices.Sort(names)
	names = slices.Compact(names)
	for _, m := range masks {
		if !slices.ContainsFunc(allow, func(rule []string) bool {
			return !slices.ContainsFunc(expand(m, names, depth), func(path []string) bool { return !allowsPath(rule, path) })
		}) {
			return false
		}
		for _, path := range expand(m, names, 0) {
			if slices.ContainsFunc(deny, func(rule []string) bool { return deniesPath(rule, path) }) {
				return false
			}
		}
	}
	return true
}

func mustAgree(t interface{ Fatalf(string, ...any) }, allow, deny, masks [][]string) {
	text := func(lists [][]string) access.List {
		rule := access.StateRule{Operation: access.Read}
		for _, m := range lists {
			rule.Masks = append(rule.Masks, strings.Join(m, "."))
		}
		return access.List{State: []access.StateRule{rule}}
	}
	rules, err := access.Compile(text(allow), text(deny))
	if err != nil {
		t.Fatalf("%v", err)
	}
	var request []mask.Mask
	for _, m := range masks {
		request = append(request, m)
	}
	if got, want := rules.MayRead(mask.NewSet(request...)), model(allow, deny, masks); got != want {
		t.Fatalf("allow %v deny %v: %v may be read: %v, want %v", allow, deny, masks, got, want)
	}
}

func TestRulesAreWhatTryingEveryPathSays(t *testing.T) {
	draw := func(t *rapid.T, what string, shortest int) [][]string {
		segment := rapid.SampledFrom([]string{"*", "*", "a", "b", "desiredState", "effectiveState"})
		return rapid.SliceOfN(rapid.SliceOfN(segment, shortest, 4), 0, 3).Draw(t, what)
	}
	rapid.Check(t, func(t *rapid.T) {
		mustAgree(t, draw(t, "allow", 1), draw(t, "deny", 1), draw(t, "request", 0))
	})
}

func FuzzRules(f *testing.F) {
	f.Add("desiredState.*", "desiredState.a", "desiredState.*.b")
	f.Add("*", "a.b.c", "* effectiveState")
	f.Add("*.a.* b.*", "desiredState.*.a", "effectiveState.b *.a")
	f.Fuzz(func(t *testing.T, allow, deny, request string) {
		var lists [3][][]string
		names := map[string]bool{}
		for i, text := range []string{allow, deny, request} {
			for _, one := range strings.Fields(text) {
				m, err := mask.Parse(one)
				// The model takes time by the power of both.
				if err != nil || len(m) > 4 || len(lists[i]) > 3 {
					return
				}
				for _, name := range m {
					names[name] = true
				}
				lists[i] = append(lists[i], m)
			}
		}
		if len(names) > 6 || strings.ContainsFunc(allow+deny, func(r rune) bool {
			return !strings.ContainsRune(" .*-_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", r)
		}) {
			return
		}
		mustAgree(t, lists[0], lists[1], lists[2])
	})
}

func FuzzLogRules(f *testing.F) {
	f.Add("app-*", "app-1")
	f.Add("*", "")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		rules, err := access.Compile(logs(pattern), access.List{})
		// The model takes time by the third power of the name.
		if err != nil || len(name) > 128 {
			return
		}
		want := name == pattern
		for i := range len(name) + 1 {
			for j := i; j <= len(name); j++ {
				want = want || name[:i]+"*"+name[j:] == pattern
			}
		}
		if got := rules.MayReadLogs(name); got != want {
			t.Fatalf("%q matches %q: %v, want %v", pattern, name, got, want)
		}
	})
}
