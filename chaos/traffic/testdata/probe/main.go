// Command probe is a probe and nothing else, for containers of tests.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/argosy-cluster/argosy/chaos/traffic/probe"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	config := probe.Config{Binary: os.Args[0], Out: os.Stdout}
	flags := pflag.NewFlagSet(probe.Name, pflag.ContinueOnError)
	config.AddFlags(flags)
	if err := errors.Join(flags.Parse(os.Args[2:]), probe.Run(ctx, config)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
