package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/chaos/ledger"
)

func (a *app) ledgerCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Add up all soaks, and compare them with what is aimed at",
		Long: `Ledger reads the account of all soaks, one line each, and prints what they add up
to: faults and operations, simulated time, violations, and for how long writes were
not acknowledged, by kind of fault. What was tried before the last violation is
shown and does not count. A file that is not understood to the last field is
refused.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("read ledger: there is no %s: run it where the source is, or name the file with --file", file)
			}
			soaks, err := ledger.Read(file)
			if err != nil {
				return err
			}
			return ledger.Write(a.out, soaks)
		},
	}
	cmd.Flags().StringVar(&file, "file", ledger.File, "file of the ledger")
	return cmd
}
