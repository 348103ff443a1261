package fault

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/lab"
)

// fakeWires know which ways are cut.
type fakeWires struct {
	cut    map[direction]bool
	broken string
}

func (f *fakeWires) Host(name string) (*lab.Host, error) { return &lab.Host{Name: name}, nil }

func (f *fakeWires) CutOneWay(from, to *lab.Host) error {
	if to.Name == f.broken {
		return errors.New("it cannot be cut")
	}
	f.cut[direction{from.Name, to.Name}] = true
	return nil
}

func (f *fakeWires) HealOneWay(from, to *lab.Host) error {
	delete(f.cut, direction{from.Name, to.Name})
	return nil
}

func (f *fakeWires) mustBe(t *testing.T, want ...direction) {
	t.Helper()
	wanted := map[direction]bool{}
	for _, way := range want {
		wanted[way] = true
	}
	if !maps.Equal(f.cut, wanted) {
		t.Errorf("cut are %v, want %v", slices.Collect(maps.Keys(f.cut)), want)
	}
}

func TestAWayThatTwoFaultsCutIsHealedWithTheLast(t *testing.T) {
	wires := &fakeWires{cut: map[direction]bool{}}
	l := links{held: map[direction]int{}}
	ab, ba, bc := direction{"a", "b"}, direction{"b", "a"}, direction{"b", "c"}
	mustCut := func(ways ...direction) func() error {
		t.Helper()
		heal, err := l.cut(wires, ways)
		if err != nil {
			t.Fatal(err)
		}
		return heal
	}
	mustHeal := func(heal func() error) {
		t.Helper()
		if err := heal(); err != nil {
			t.Fatal(err)
		}
	}
	one, other := mustCut(ab, ba), mustCut(ba, bc)
	wires.mustBe(t, ab, ba, bc)
	mustHeal(one)
	mustHeal(one)
	wires.mustBe(t, ba, bc)
	if !l.cuts(ab, ba) || l.cuts(ab) {
		t.Error("it is not known what is cut")
	}
	mustHeal(other)
	wires.mustBe(t)

	wires.broken = "c"
	if _, err := l.cut(wires, []direction{ab, bc}); err == nil {
		t.Error("what cannot be cut was cut")
	}
	wires.mustBe(t)
}

func TestWaysOfHosts(t *testing.T) {
	all := []string{"a", "b", "c"}
	for _, tc := range []struct {
		name string
		got  []direction
		want []direction
	}{
		{"alone", alone("a", all), []direction{{"a", "b"}, {"b", "a"}, {"a", "c"}, {"c", "a"}}},
		{"only to", onlyTo("a", all), []direction{{"b", "a"}, {"c", "a"}}},
		{"only from", onlyFrom("a", all), []direction{{"a", "b"}, {"a", "c"}}},
		{"apart", apart([]string{"a"}, []string{"b"}), []direction{{"a", "b"}, {"b", "a"}}},
	} {
		if !slices.Equal(tc.got, tc.want) {
			t.Errorf("%s: %v", tc.name, tc.got)
		}
	}
	harm := harmOf([]direction{{"a", "b"}, {"agent", "a"}, {ClientHost, "a"}}, all)
	if want := [][2]string{{"a", "b"}, {ClientHost, "a"}}; !slices.Equal(harm.Cut, want) {
		t.Errorf("harm is %v", harm.Cut)
	}
}
