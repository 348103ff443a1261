package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/autopilot"
)

func (a *app) operatorSettingsCommand() *cobra.Command {
	return group("settings", "See and change the settings of the cluster", "", a.getSettingsCommand(), a.setSettingsCommand())
}

func (a *app) getSettingsCommand() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get",
		Short: "Show the settings",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check("table", "json", "yaml"); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				response, err := c.GetSettings(cmd.Context())
				if err != nil {
					return err
				}
				return a.printSettings(response.GetSettings(), o.output)
			})
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "table", "output format: table, json or yaml")
	return cmd
}

// settingsDocument is the settings in JSON.
type settingsDocument struct {
	ClusterID       string `json:"clusterId" yaml:"clusterId"`
	FeatureLevel    uint32 `json:"featureLevel" yaml:"featureLevel"`
	KeepDeadServers bool   `json:"keepDeadServers" yaml:"keepDeadServers"`
	DeadAfter       string `json:"deadAfter" yaml:"deadAfter"`
	MinVoters       int    `json:"minVoters" yaml:"minVoters"`
	StableAfter     string `json:"stableAfter" yaml:"stableAfter"`
	StateQuotaBytes uint64 `json:"stateQuotaBytes" yaml:"stateQuotaBytes"`
	Revision        uint64 `json:"revision" yaml:"revision"`
}

// printSettings shows what is in force, defaults included, so that nobody has to
// know them.
func (a *app) printSettings(s *argosyv1.ClusterSettings, output string) error {
	pilot := autopilot.Resolve(s.GetAutopilot())
	d := settingsDocument{
		ClusterID:       s.GetClusterId(),
		FeatureLevel:    argosyv1.ActiveLevel(s),
		KeepDeadServers: pilot.KeepDead,
		DeadAfter:       pilot.DeadAfter.String(),
		MinVoters:       pilot.MinVoters,
		StableAfter:     pilot.StableAfter.String(),
		StateQuotaBytes: argosyv1.StateQuota(s),
		Revision:        s.GetRevision(),
	}
	if output != "table" {
		return a.encode(output, d)
	}
	t := table{header: []string{"SETTING", "VALUE"}}
	t.add("keep-dead-servers", fmt.Sprint(d.KeepDeadServers))
	t.add("dead-after", d.DeadAfter)
	t.add("min-voters", fmt.Sprint(d.MinVoters))
	t.add("stable-after", d.StableAfter)
	t.add("state-quota", fmt.Sprint(d.StateQuotaBytes))
	t.add("feature level", fmt.Sprint(d.FeatureLevel))
	t.add("revision", fmt.Sprint(d.Revision))
	t.print(a.out)
	return nil
}

type settingsFlags struct {
	keepDead               bool
	deadAfter, stableAfter time.Duration
	minVoters              uint32
	quota                  uint64
	revision               uint64
}

func (a *app) setSettingsCommand() *cobra.Command {
	var f settingsFlags
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Change settings; those that are not given stay as they are",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmp.Or(checkTime("dead-after", f.deadAfter), checkTime("stable-after", f.stableAfter)); err != nil {
				return err
			}
			changed := cmd.Flags().Changed
			if !changed("keep-dead-servers") && !changed("dead-after") && !changed("min-voters") && !changed("stable-after") && !changed("state-quota") {
				return usagef("say what to set: see '%s --help'", cmd.CommandPath())
			}
			return a.withClient(func(c *client.Client) error {
				settings, err := setSettings(cmd.Context(), c, f, changed)
				if err != nil {
					return err
				}
				return a.printSettings(settings, "table")
			})
		},
	}
	cmd.Flags().BoolVar(&f.keepDead, "keep-dead-servers", false, "leave dead servers in the cluster")
	cmd.Flags().DurationVar(&f.deadAfter, "dead-after", 0, "how long a server must be silent to count as dead for good (0: the default, 24h)")
	cmd.Flags().Uint32Var(&f.minVoters, "min-voters", 0, "how many voters must remain when a dead server is removed (0: the default, 3)")
	cmd.Flags().DurationVar(&f.stableAfter, "stable-after", 0, "how long a new server must be healthy before it votes (0: the default, 1s)")
	cmd.Flags().Var((*byteSize)(&f.quota), "state-quota", "how large the desired state may become (0: the default, 1GiB)")
	cmd.Flags().Uint64Var(&f.revision, "if-revision", 0, "change only settings of this revision")
	return cmd
}

// checkTime refuses a time that cannot be told in milliseconds: it would be the
// default.
func checkTime(flag string, d time.Duration) error {
	if d != 0 && d < time.Millisecond {
		return usagef("--%s is %v: give 0 for the default, or 1ms or more", flag, d)
	}
	return nil
}

// setSettings changes what was given. The autopilot's settings are one value: the
// rest of it is read first, and the change is bound to what was read.
func setSettings(ctx context.Context, c *client.Client, f settingsFlags, changed func(string) bool) (*argosyv1.ClusterSettings, error) {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		read, err := c.GetSettings(ctx)
		if err != nil {
			return nil, err
		}
		pilot := read.GetSettings().GetAutopilot()
		if pilot == nil {
			pilot = &argosyv1.AutopilotSettings{}
		}
		if changed("keep-dead-servers") {
			pilot.KeepDeadServers = f.keepDead
		}
		if changed("dead-after") {
			pilot.DeadAfterMs = uint64(f.deadAfter.Milliseconds())
		}
		if changed("min-voters") {
			pilot.MinVoters = f.minVoters
		}
		if changed("stable-after") {
			pilot.StableAfterMs = uint64(f.stableAfter.Milliseconds())
		}
		req := &argosyv1.UpdateSettingsRequest{Autopilot: pilot, ExpectedRevision: cmp.Or(f.revision, read.GetSettings().GetRevision())}
		if changed("state-quota") {
			req.StateQuotaBytes = &f.quota
		}
		response, err := c.UpdateSettings(ctx, req)
		if f.revision == 0 && attempt < attempts && argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_CONFLICT {
			continue
		}
		if err != nil {
			return nil, err
		}
		return response.GetSettings(), nil
	}
}
