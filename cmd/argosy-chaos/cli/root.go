package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// app is what the commands share.
type app struct {
	version  string
	in       io.Reader
	out, err io.Writer
}

// errViolated is returned when an invariant did not hold, which was told
// already.
var errViolated = errors.New("an invariant did not hold")

// errTold is returned when the suite could not do its work, which was told
// already.
var errTold = errors.New("not judged")

// execute runs one command line and returns its exit code.
func (a *app) execute(ctx context.Context, args []string) int {
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return ExitHeld
	case errors.Is(err, errViolated):
		return ExitViolated
	case !errors.Is(err, errTold):
		fmt.Fprintln(a.err, "error:", err)
	}
	return ExitUnjudged
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "argosy-chaos",
		Short: "Try to break a cluster, and judge whether it kept what was promised",
		Long: `Argosy-chaos builds clusters of real servers and agents on hosts and disks of
their own inside this machine, breaks them by a plan, records everything, and lets
checkers judge the record.

Exit codes: 0 everything was checked and held, 1 something that was promised did
not hold, 2 that cannot be said. Commands that only tell something (plan, list,
ledger, report) end with 0 when they told it.`,
		Version:       a.version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return errTold
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: see '%s --help'", err, cmd.CommandPath())
	})
	for _, cmd := range []*cobra.Command{
		a.ciCommand(),
		a.runCommand(),
		a.replayCommand(),
		a.shrinkCommand(),
		a.checkCommand(),
		a.reportCommand(),
		a.planCommand(),
		a.soakCommand(),
		a.ledgerCommand(),
		a.listCommand(),
		a.probeCommand(),
		a.selftestCommand(),
		a.simulateCommand(),
		a.simulateOneCommand(),
	} {
		root.AddCommand(cmd)
	}
	return root
}

// usageArgs makes the text of a wrong number of arguments helpful.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return fmt.Errorf("%w: see '%s --help'", err, cmd.CommandPath())
		}
		return nil
	}
}
