package argosyv1_test

import (
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestAClusterOfBeforeLevelsIsAtTheFirst(t *testing.T) {
	for level, settings := range map[uint32]*argosyv1.ClusterSettings{
		1: nil,
		2: {FeatureLevel: 2},
		7: {FeatureLevel: 7},
	} {
		if got := argosyv1.ActiveLevel(settings); got != level {
			t.Errorf("ActiveLevel(%v) = %d, want %d", settings, got, level)
		}
	}
	if got := argosyv1.ActiveLevel(&argosyv1.ClusterSettings{}); got != 1 {
		t.Errorf("ActiveLevel of settings without a level = %d, want 1", got)
	}
	if got := argosyv1.KnownLevel(0); got != 1 {
		t.Errorf("KnownLevel(0) = %d, want 1", got)
	}
}
