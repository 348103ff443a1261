package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func (a *app) logsCommand() *cobra.Command {
	var (
		request      argosyv1.LogsRequest
		since, until string
		names        bool
		times        bool
	)
	cmd := &cobra.Command{
		Use:               "logs NAME...",
		Short:             "Show what workloads print",
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeWorkloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			request.Names = args
			request.HasTail = cmd.Flags().Changed("tail")
			var err error
			if request.SinceUnixNanos, err = parseTime("since", since); err != nil {
				return err
			}
			if request.UntilUnixNanos, err = parseTime("until", until); err != nil {
				return err
			}
			printer := &linePrinter{app: a, names: names || len(args) > 1, times: times}
			return a.withClient(func(c *client.Client) error {
				err := c.Logs(cmd.Context(), &request, printer.print)
				if isCancelled(cmd.Context(), err) {
					return nil
				}
				return err
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&request.Follow, "follow", "f", false, "go on with new lines until interrupted")
	flags.Int32VarP(&request.Tail, "tail", "t", -1, "only the last so many lines of each")
	flags.StringVarP(&since, "since", "s", "", "only lines since then: RFC 3339, or how long ago such as 10m")
	flags.StringVarP(&until, "until", "u", "", "only lines until then: RFC 3339, or how long ago")
	flags.BoolVarP(&names, "names", "n", false, "begin each line with the workload's name")
	flags.BoolVar(&times, "timestamps", false, "begin each line with its time")
	return cmd
}

// parseTime reads a point in time or a length of time before now.
func parseTime(flag, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at.UnixNano(), nil
	}
	ago, err := time.ParseDuration(text)
	if err != nil {
		return 0, usagef("--%s %q is neither a time (2006-01-02T15:04:05Z) nor a length of time (10m)", flag, text)
	}
	return time.Now().Add(-ago).UnixNano(), nil
}

type linePrinter struct {
	app   *app
	names bool
	times bool
}

func (p *linePrinter) print(batch *argosyv1.LogsResponse) error {
	for _, line := range batch.GetLines() {
		if line.GetEnd() {
			if len(line.GetLine()) > 0 {
				fmt.Fprintf(p.app.err, "note: log of %s ended: %s\n", line.GetInstance().GetWorkload(), line.GetLine())
			}
			continue
		}
		out := p.app.out
		if line.GetStderr() {
			out = p.app.err
		}
		if p.times && line.GetUnixNanos() != 0 {
			fmt.Fprint(out, time.Unix(0, line.GetUnixNanos()).UTC().Format(time.RFC3339Nano), " ")
		}
		if p.names {
			fmt.Fprint(out, line.GetInstance().GetWorkload(), " ")
		}
		if _, err := fmt.Fprintf(out, "%s\n", line.GetLine()); err != nil {
			return err
		}
	}
	return nil
}
