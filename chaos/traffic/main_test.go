package traffic_test

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/chaos/traffic/probe"
	"github.com/argosy-cluster/argosy/cmd/argosy/cli"
)

// TestMain makes the test binary behave as the program when it is called like
// it: servers, agents, keepers and probes of these tests are this binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == probe.Name {
		os.Exit(probe.Main(os.Args[2:]))
	}
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		os.Exit(cli.Main("v0.0.0-test"))
	}
	goleak.VerifyTestMain(m)
}
