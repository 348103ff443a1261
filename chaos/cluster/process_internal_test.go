package cluster

import (
	"slices"
	"testing"
)

func TestAFlagIsSetOnlyWhereItIs(t *testing.T) {
	p := &Process{args: []string{"server", "--level", "1", "--last"}}
	for _, tc := range []struct {
		flag, value string
		set         bool
	}{{"--level", "1", false}, {"--level", "2", true}, {"--other", "2", false}, {"--last", "2", false}} {
		if set := p.Set(tc.flag, tc.value); set != tc.set {
			t.Errorf("%s %s: set is %v", tc.flag, tc.value, set)
		}
	}
	if want := []string{"server", "--level", "2", "--last"}; !slices.Equal(p.args, want) {
		t.Errorf("arguments %v", p.args)
	}
}
