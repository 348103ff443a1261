package trial_test

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/chaos/traffic/probe"
	chaos "github.com/argosy-cluster/argosy/cmd/argosy-chaos/cli"
	"github.com/argosy-cluster/argosy/cmd/argosy/cli"
)

// TestMain makes the test binary behave as the programs when it is called like
// them: servers, agents, keepers and probes of these tests are this binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		if os.Args[1] == probe.Name {
			os.Exit(chaos.Main("v0.0.0-test"))
		}
		os.Exit(cli.Main("v0.0.0-test"))
	}
	goleak.VerifyTestMain(m)
}
