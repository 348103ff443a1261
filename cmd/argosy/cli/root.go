package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// app is what the commands share.
type app struct {
	version  string
	in       io.Reader
	out, err io.Writer
	options  connectionOptions
}

// usageError is a mistake in how the program was called.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// errTimedOut is returned when a wait was not over in time.
var errTimedOut = errors.New("timed out while waiting")

// errFailed is returned when what is wrong was already told.
var errFailed = errors.New("failed")

// execute runs one command line and returns its exit code.
func (a *app) execute(ctx context.Context, args []string) int {
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return argosyv1.ExitDone
	}
	if !errors.Is(err, errFailed) {
		fmt.Fprintln(a.err, "error:", printableLines(err.Error()))
	}
	return exitCode(err)
}

func exitCode(err error) int {
	var usage *usageError
	var coded *codedError
	switch {
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &usage):
		return argosyv1.ExitUsage
	case errors.Is(err, errTimedOut):
		return argosyv1.ExitTimeout
	}
	if e, ok := argosyv1.AsError(err); ok {
		return e.Code().ExitCode()
	}
	return argosyv1.ExitFailed
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "argosy",
		Short: "Run workloads on a fleet of machines under a control side that does not die",
		Long: `Argosy runs workloads (containers, processes) on a fleet of machines. Three or
more servers keep what shall run; one of them leads, any of them answers, and
when the leader dies another takes over within milliseconds.

Try it:    argosy dev          a whole cluster on this machine
           argosy demo         the same, with its leader killed before your eyes`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return &usageError{errFailed}
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w: see '%s --help'", err, cmd.CommandPath())
	})
	a.options.addFlags(root.PersistentFlags())
	root.AddGroup(
		&cobra.Group{ID: "use", Title: "Work with a cluster:"},
		&cobra.Group{ID: "run", Title: "Run a cluster:"},
	)
	for _, cmd := range []*cobra.Command{
		a.applyCommand(), a.diffCommand(), a.setCommand(), a.deleteCommand(), a.runCommand(), a.getCommand(), a.describeCommand(),
		a.logsCommand(), a.explainCommand(), a.statusCommand(),
	} {
		cmd.GroupID = "use"
		root.AddCommand(cmd)
	}
	for _, cmd := range []*cobra.Command{a.serverCommand(), a.agentCommand(), a.operatorCommand(), a.devCommand(), a.demoCommand()} {
		cmd.GroupID = "run"
		root.AddCommand(cmd)
	}
	root.AddCommand(a.keeperCommand(), a.helloCommand(), a.versionCommand())
	return root
}

// usageArgs makes a wrong number of arguments a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("%w: see '%s --help'", err, cmd.CommandPath())
		}
		return nil
	}
}
