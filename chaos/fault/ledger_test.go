package fault

import (
	"errors"
	"testing"
)

func TestLedger(t *testing.T) {
	three := []string{"a", "b", "c"}
	for _, tc := range []struct {
		name   string
		taken  []Harm
		harm   Harm
		err    error
		quorum bool
	}{
		{name: "nothing", quorum: true},
		{name: "one down", harm: Harm{Down: []string{"a"}}, quorum: true},
		{name: "two down", taken: []Harm{{Down: []string{"a"}}}, harm: Harm{Down: []string{"b"}}},
		{name: "one down and one slow", taken: []Harm{{Down: []string{"a"}}}, harm: Harm{Slow: []string{"b"}}},
		{name: "one cut off", harm: Harm{Cut: [][2]string{{"a", "b"}, {"a", "c"}}}, quorum: true},
		{name: "one way is enough", harm: Harm{Cut: [][2]string{{"a", "b"}, {"b", "c"}}}, quorum: true},
		{name: "a ring of cuts", harm: Harm{Cut: [][2]string{{"a", "b"}, {"b", "c"}, {"c", "a"}}}},
		{name: "one spoiled", harm: Harm{Spoiled: []string{"a"}}, quorum: true},
		{name: "two spoiled", taken: []Harm{{Spoiled: []string{"a"}}}, harm: Harm{Spoiled: []string{"b"}}, err: ErrBudget, quorum: true},
		{name: "cut off from the clients only", harm: Harm{Cut: [][2]string{{ClientHost, "a"}, {"a", ClientHost}}}, quorum: true},
		{name: "the clients are cut off", harm: Harm{Cut: [][2]string{{"a", ClientHost}, {ClientHost, "b"}, {ClientHost, "c"}}}},
		{name: "the clients reach the wrong side", harm: Harm{Cut: [][2]string{{"a", "b"}, {"a", "c"}, {ClientHost, "b"}, {ClientHost, "c"}}}},
		{name: "in another fault's hands", taken: []Harm{{Busy: []string{"a"}}}, harm: Harm{Down: []string{"a"}, Busy: []string{"a"}}, err: ErrBudget, quorum: true},
		{name: "alone, but for an agent", taken: []Harm{{Down: []string{"agent"}, Busy: []string{"agent"}}}, harm: Harm{Spoiled: []string{"a"}, Alone: true}, quorum: true},
		{name: "alone while another is slow", taken: []Harm{{Slow: []string{"b"}}}, harm: Harm{Spoiled: []string{"a"}, Alone: true}, err: ErrBudget, quorum: true},
		{name: "beside one that must be alone", taken: []Harm{{Spoiled: []string{"a"}, Alone: true}}, harm: Harm{Cut: [][2]string{{"b", "c"}}}, err: ErrBudget, quorum: true},
		{name: "one that may have nothing is no part of a quorum", taken: []Harm{{Doubtful: []string{"a"}}}, harm: Harm{Down: []string{"b"}}},
		{name: "another may lose nothing beside it", taken: []Harm{{Doubtful: []string{"a"}}}, harm: Harm{Spoiled: []string{"b"}}, err: ErrBudget, quorum: true},
		{name: "nor beside one that ended by itself", taken: []Harm{{Down: []string{"a"}, Doubtful: []string{"a"}}}, harm: Harm{Spoiled: []string{"b"}}, err: ErrBudget, quorum: true},
		{name: "it may lose what it has", taken: []Harm{{Doubtful: []string{"a"}}}, harm: Harm{Down: []string{"a"}, Spoiled: []string{"a"}}, quorum: true},
		{name: "and be struck", taken: []Harm{{Doubtful: []string{"a"}}}, harm: Harm{Down: []string{"a"}, Busy: []string{"a"}}, quorum: true},
		{name: "one that is known to be whole counts for nothing while it is down", taken: []Harm{{Down: []string{"a"}}}, harm: Harm{Spoiled: []string{"b"}}},
		{name: "alone beside one that may have nothing", taken: []Harm{{Doubtful: []string{"b"}}}, harm: Harm{Spoiled: []string{"a"}, Alone: true}, err: ErrBudget, quorum: true},
		{name: "down already", taken: []Harm{{Down: []string{"a"}}}, harm: Harm{Spoiled: []string{"a"}}, err: ErrBudget, quorum: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := NewLedger(three)
			for _, harm := range tc.taken {
				if _, err := l.Take(harm); err != nil {
					t.Fatal(err)
				}
			}
			h, err := l.Take(tc.harm)
			if !errors.Is(err, tc.err) {
				t.Fatalf("take: %v", err)
			}
			if l.Quorum() != tc.quorum {
				t.Errorf("quorum: %v", l.Quorum())
			}
			if tc.quorum != (l.Losses() == 0) {
				t.Errorf("lost it %d times", l.Losses())
			}
			if err == nil {
				h.Release()
				h.Release()
				if len(tc.taken) == 0 && len(l.Healthy()) != 3 {
					t.Errorf("healthy: %v", l.Healthy())
				}
			}
		})
	}
}

func TestAHoldGrowsOnlyAsFarAsItCouldBeTaken(t *testing.T) {
	l := NewLedger([]string{"a", "b", "c"})
	a, err := l.Take(Harm{Doubtful: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Grow(Harm{Spoiled: []string{"a"}}); err != nil {
		t.Errorf("with nothing else wrong: %v", err)
	}
	a.Become(Harm{Doubtful: []string{"a"}})
	b := l.Note(Harm{Down: []string{"b"}, Doubtful: []string{"b"}})
	if err := a.Grow(Harm{Spoiled: []string{"a"}}); !errors.Is(err, ErrBudget) {
		t.Errorf("while another one may have nothing: %v", err)
	}
	if healthy := l.Healthy(); len(healthy) != 1 || healthy[0] != "c" {
		t.Errorf("what was taken before did not stay: %v are healthy", healthy)
	}
	b.Release()
	if err := a.Grow(Harm{Spoiled: []string{"a"}}); err != nil {
		t.Errorf("when that is over: %v", err)
	}
}

func TestThoseOnTheirWayBackAreDueUnlessAFaultIsInTheirWay(t *testing.T) {
	l := NewLedger([]string{"a", "b", "c"})
	l.Note(Harm{Doubtful: []string{"a", "b"}})
	if l.Quorum() || !l.Due() {
		t.Errorf("two on their way back: a quorum %v, due %v", l.Quorum(), l.Due())
	}
	cut, err := l.Take(Harm{Cut: [][2]string{{"a", "b"}, {"b", "c"}, {"c", "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	if l.Due() {
		t.Error("they are due though nobody reaches anybody")
	}
	cut.Release()
	if _, err := l.Take(Harm{Slow: []string{"b", "c"}}); err != nil || l.Due() {
		t.Errorf("they are due though a majority is slow: %v", err)
	}
}
