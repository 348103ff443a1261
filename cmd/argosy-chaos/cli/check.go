package cli

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/chaos/report"
	"github.com/argosy-cluster/argosy/chaos/trial"
)

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check DIR",
		Short: "Judge the record of a trial again",
		Long: `Check has the checkers judge what a trial recorded, any number of times, on any
machine. It writes the verdict and the report anew.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			result, err := trial.Judge(args[0])
			if err != nil {
				return err
			}
			return a.conclude(result)
		},
	}
}

func (a *app) reportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "report DIR",
		Short: "Write the page of a trial anew, and say where it is",
		Long: `Report judges what a trial recorded and writes its page, which a browser shows
without a network, and its summary. Its exit code says whether that was done, not
what the page says.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			result, err := trial.Judge(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s: %s\n", result.Summary.Judgement, filepath.Join(result.Dir, report.PageFile))
			return err
		},
	}
}
