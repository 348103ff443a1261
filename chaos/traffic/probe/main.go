package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
)

// Main is a program that is a probe: with the flags that follow its name, until it
// is told to end. It returns the exit code.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	config := Config{Binary: os.Args[0], Out: os.Stdout}
	flags := pflag.NewFlagSet(Name, pflag.ContinueOnError)
	config.AddFlags(flags)
	if err := errors.Join(flags.Parse(args), Run(ctx, config)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
