package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/chaos/traffic/probe"
	"github.com/argosy-cluster/argosy/cmd/argosy/cli"
)

// TestMain makes the test binary behave as the program when it is called like
// it: servers, agents, keepers and probes of these tests are this binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == probe.Name {
		os.Exit(runProbe())
	}
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		os.Exit(cli.Main("v0.0.0-test"))
	}
	goleak.VerifyTestMain(m)
}

func runProbe() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	config := probe.Config{Binary: os.Args[0], Out: os.Stdout}
	flags := pflag.NewFlagSet(probe.Name, pflag.ContinueOnError)
	config.AddFlags(flags)
	if err := errors.Join(flags.Parse(os.Args[2:]), probe.Run(ctx, config)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
