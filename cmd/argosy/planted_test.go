//go:build !planted

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// This test program contains all of the product: nothing may be left in it of
// the bugs that can be planted elsewhere. The texts are put together here, since
// this program would contain them otherwise.
func TestTheProgramHasNoPlantedBugs(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range [][]string{
		{"ARGOSY", "PLANTED"},                   // the variable
		{"empty", "memory"},                     // the name of one
		{"argosy/planted", "On"},                // what asks for one
		{"writer", "(*Writer)", "presume"},      // what one does
		{"reconcile", "(*Manager)", "renew"},    // what another one does
		{"argosy/fsm", "(*View)", "older"},      // what a third one does
		{"server/writer", "(*Writer)", "judge"}, // what must be there, to see that it would be found
	} {
		found := false
		for _, between := range []string{"_", "-", "."} {
			found = found || bytes.Contains(program, []byte(strings.Join(what, between)))
		}
		if found != (what[len(what)-1] == "judge") {
			t.Errorf("program contains %v: %v", what, found)
		}
	}
}
