package lab_test

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/cmd/argosy/cli"
)

// TestMain makes the test binary behave as the program when it is called like
// it: the servers of these tests are this binary. It also is the lab that is
// killed, and the program that does what it is told.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == doomedLab {
		os.Exit(beDoomed(os.Args[2]))
	}
	if len(os.Args) == 3 && os.Args[1] == actorName {
		os.Exit(beActor(os.Args[2]))
	}
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		os.Exit(cli.Main("v0.0.0-test"))
	}
	goleak.VerifyTestMain(m)
}
