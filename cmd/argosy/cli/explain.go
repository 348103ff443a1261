package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/manifest"
)

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [FIELD]",
		Short: "Tell what the fields of a manifest mean",
		Long: `Explain tells what a field of a manifest means: its type, default and limits, and
the fields in it. Fields are named from the top; without one, the manifest itself
is explained. No server is asked.`,
		Example: "  argosy explain\n  argosy explain workloads.files\n  argosy explain workloads.files.mountPoint",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			path := ""
			if len(args) > 0 {
				path = args[0]
			}
			text, err := manifest.Explain(path)
			if err != nil {
				return &usageError{fmt.Errorf("explain %s: %w", path, err)}
			}
			_, err = fmt.Fprint(a.out, text)
			return err
		},
	}
}
