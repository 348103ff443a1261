package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version",
		Args:  usageArgs(cobra.NoArgs),
		Run: func(*cobra.Command, []string) {
			fmt.Fprintf(a.out, "argosy %s (%s %s/%s, protocol %d to %d)\n", a.version, runtime.Version(), runtime.GOOS, runtime.GOARCH, argosyv1.ProtocolMin, argosyv1.ProtocolMax)
		},
	}
}
