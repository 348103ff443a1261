//go:build !planted

package planted

import "testing"

func TestNoBugCanBeTurnedOn(t *testing.T) {
	for _, bug := range All() {
		t.Setenv(Variable, string(bug))
		if Possible || On(bug) {
			t.Errorf("%s is on in a program that has none", bug)
		}
	}
}
