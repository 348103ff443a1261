package cli

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/report"
)

func (a *app) listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List trials, and the faults and profiles that there are",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return errTold
		},
	}
	cmd.AddCommand(a.listTrialsCommand(), a.listFaultsCommand(), a.listProfilesCommand())
	return cmd
}

// table writes lines of columns.
func (a *app) table(header string, lines func(w *tabwriter.Writer) error) error {
	w := tabwriter.NewWriter(a.out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, header)
	if err := lines(w); err != nil {
		return err
	}
	return w.Flush()
}

func (a *app) listTrialsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "trials DIR",
		Short: "List the trials below a directory, with what came of them",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.table("JUDGEMENT\tPROFILE\tSEED\tFAULTS\tOPERATIONS\tSTARTED\tDIRECTORY", func(w *tabwriter.Writer) error {
				return filepath.WalkDir(args[0], func(path string, entry fs.DirEntry, err error) error {
					if err != nil || entry.Name() != report.SummaryFile {
						return err
					}
					text, err := os.ReadFile(path)
					if err != nil {
						return fmt.Errorf("list trials: %w", err)
					}
					var s report.Summary
					if err := json.Unmarshal(text, &s); err != nil || s.Version != report.SummaryVersion {
						fmt.Fprintf(w, "cannot be read\t\t\t\t\t\t%s\n", filepath.Dir(path))
						return nil
					}
					fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%s\t%s\n", s.Judgement, s.Profile, s.Seed, faults(s.Faults, s.Skipped), s.Checked, s.Started, filepath.Dir(path))
					return nil
				})
			})
		},
	}
}

func (a *app) listFaultsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "faults",
		Short: "List all faults, and whether they can be done on this machine",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return a.table("FAULT\tHERE\tWHAT", func(w *tabwriter.Writer) error {
				for _, kind := range plan.Kinds() {
					f, known := fault.Of(kind)
					here := "no: this program does not know how"
					if known {
						here = "yes"
						if err := f.Available(&fault.World{}); err != nil {
							here = "no: " + err.Error()
						}
					}
					fmt.Fprintf(w, "%s\t%s\t%s\n", kind, here, f.What)
				}
				return nil
			})
		},
	}
}

func (a *app) listProfilesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "profiles",
		Short: "List the profiles that plans are made of",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return a.table("NAME\tFOR\tWHAT", func(w *tabwriter.Writer) error {
				for _, profile := range plan.Profiles() {
					fmt.Fprintf(w, "%s\t%v\t%s\n", profile.Name, profile.Duration, profile.What)
				}
				return nil
			})
		},
	}
}
