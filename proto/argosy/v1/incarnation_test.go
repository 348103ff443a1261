package argosyv1_test

import (
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestEachIncarnationIsNewerThanTheOneBefore(t *testing.T) {
	before := ""
	for n := uint64(1); n < 4; n++ {
		next, err := argosyv1.NextIncarnation(before)
		if err != nil {
			t.Fatal(err)
		}
		if got := argosyv1.IncarnationNumber(next); got != n {
			t.Fatalf("after %q comes %q, number %d, want %d", before, next, got, n)
		}
		if other, _ := argosyv1.NextIncarnation(before); other == next {
			t.Fatalf("two recoveries of %q are both %q", before, next)
		}
		before = next
	}
	for _, text := range []string{"1", "0-00000000", "-1-00000000", "1-0000000g", "1-000000000", " 1-00000000"} {
		if argosyv1.CheckIncarnation(text) == nil {
			t.Errorf("%q is taken for an incarnation", text)
		}
		if _, err := argosyv1.NextIncarnation(text); err == nil {
			t.Errorf("%q has a successor", text)
		}
	}
}
