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
		{name: "down already", taken: []Harm{{Down: []string{"a"}}}, harm: Harm{Spoiled: []string{"a"}}, err: ErrBudget, quorum: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := NewLedger(three)
			for _, harm := range tc.taken {
				if _, err := l.Take(harm); err != nil {
					t.Fatal(err)
				}
			}
			release, err := l.Take(tc.harm)
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
				release()
				release()
				if len(tc.taken) == 0 && len(l.Healthy()) != 3 {
					t.Errorf("healthy: %v", l.Healthy())
				}
			}
		})
	}
}
