package cli

import (
	"context"
	"errors"
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
		Use:   "logs NAME...",
		Short: "Show what workloads print",
		Long: `Logs shows what workloads print, wherever they run. When there are several instances
each line begins with the name of its workload, and with that of the agent where a
workload has several.

With --follow it goes on through the loss of servers and agents: of processes
without a gap and without a line twice. Podman tells no places in its logs; there it
ends with an error that says how to go on.`,
		Example:           "  argosy logs web\n  argosy logs -f --tail 10 web db\n  argosy logs --since 10m --until 2026-01-02T15:04:05Z web",
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
			return a.withClient(func(c *client.Client) error {
				instances, err := instanceCounts(cmd.Context(), c, args)
				if err != nil {
					return err
				}
				printer := &linePrinter{app: a, names: names, times: times, instances: instances}
				read := c.Logs
				if request.GetFollow() {
					read = c.FollowLogs
				}
				err = read(cmd.Context(), &request, printer.print)
				if isCancelled(cmd.Context(), err) {
					return nil
				}
				return howToGoOn(err)
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

// instanceCounts tells how many instances workloads have.
func instanceCounts(ctx context.Context, c *client.Client, names []string) (map[string]int, error) {
	state, err := c.GetState(ctx, &argosyv1.GetStateRequest{Names: names, OmitWorkloads: true, OmitAgents: true, OmitConfigs: true})
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, s := range state.GetStates() {
		counts[s.GetInstance().GetWorkload()]++
	}
	return counts, nil
}

// howToGoOn tells a user what to do about a log that was lost on the way.
func howToGoOn(err error) error {
	var lost *client.LogsLostError
	if !errors.As(err, &lost) {
		return err
	}
	if lost.Last.IsZero() {
		return fmt.Errorf("%w: begin again with: argosy logs -f %s", err, lost.Workload)
	}
	return fmt.Errorf("%w: go on with: argosy logs -f %s --since %s", err, lost.Workload, lost.Last.UTC().Format(time.RFC3339Nano))
}

// linePrinter prints lines, with the names of their instances where there are
// several.
type linePrinter struct {
	app       *app
	names     bool
	times     bool
	instances map[string]int
}

// prefix is what a line of an instance begins with.
func (p *linePrinter) prefix(instance *argosyv1.InstanceName) string {
	name := instance.GetWorkload()
	switch {
	case p.instances[name] > 1:
		return name + "@" + instance.GetAgent() + " "
	case p.names || len(p.instances) > 1:
		return name + " "
	}
	return ""
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
		if _, err := fmt.Fprintf(out, "%s%s\n", p.prefix(line.GetInstance()), line.GetLine()); err != nil {
			return err
		}
	}
	return nil
}
