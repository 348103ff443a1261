package evidence_test

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/cmd/argosy/cli"
)

// TestMain makes the test binary behave as the program when it is called like it:
// the servers of these tests are this binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		os.Exit(cli.Main("v0.0.0-test"))
	}
	goleak.VerifyTestMain(m)
}
