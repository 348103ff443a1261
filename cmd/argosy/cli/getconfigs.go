package cli

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/manifest/complete"
	"github.com/argosy-cluster/argosy/manifest/tree"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func (a *app) getConfigsCommand() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:               "configs [KEY...]",
		Aliases:           []string{"config"},
		Short:             "Show configs and the workloads that use them",
		ValidArgsFunction: a.completeConfigs,
		RunE: func(cmd *cobra.Command, keys []string) error {
			if err := o.check("table", "wide", "json", "yaml"); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				state, err := c.GetState(cmd.Context(), &argosyv1.GetStateRequest{
					Consistency: o.consistency(), ConfigKeys: keys, OmitStates: true, OmitAgents: true,
					// The plain list does not say who uses them.
					OmitWorkloads: o.output == "table",
				})
				if err != nil {
					return err
				}
				a.tellStaleness(state.GetHeader())
				if err := a.printConfigs(state, o); err != nil {
					return err
				}
				return missingConfigs(keys, state.GetConfigs())
			})
		},
	}
	o.addOutput(cmd, "table, wide, json or yaml")
	return cmd
}

// missingConfigs is an error when a config that was asked for by its key is not
// there.
func missingConfigs(keys []string, configs []*argosyv1.Config) error {
	var absent []string
	for _, key := range keys {
		if !slices.ContainsFunc(configs, func(c *argosyv1.Config) bool { return c.GetKey() == key }) {
			absent = append(absent, strconv.Quote(key))
		}
	}
	if len(absent) == 0 {
		return nil
	}
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "get configs: there is no config %s", strings.Join(absent, ", "))
}

func (a *app) printConfigs(state *argosyv1.GetStateResponse, o getOptions) error {
	users := usersOf(state.GetWorkloads())
	switch o.output {
	case "json", "yaml":
		items := []*tree.Node{}
		for _, c := range state.GetConfigs() {
			names := []*tree.Node{}
			for _, name := range users[c.GetKey()] {
				names = append(names, tree.NewText(name))
			}
			items = append(items, tree.NewMap(map[string]*tree.Node{
				"config": tree.NewText(c.GetKey()), "value": complete.ConfigNode(c.GetValue()),
				"revision": tree.NewCount(c.GetRevision()), "workloads": tree.NewList(names),
			}))
		}
		return a.printNode(o.output, tree.NewList(items))
	case "wide":
		t := table{header: []string{"CONFIG", "KIND", "REVISION", "WORKLOADS"}}
		for _, c := range state.GetConfigs() {
			kind := strings.TrimPrefix(complete.ConfigNode(c.GetValue()).Kind().String(), "a ")
			t.add(c.GetKey(), kind, strconv.FormatUint(c.GetRevision(), 10), strings.Join(users[c.GetKey()], ", "))
		}
		t.print(a.out)
	default:
		t := table{header: []string{"CONFIG"}}
		for _, c := range state.GetConfigs() {
			t.add(c.GetKey())
		}
		t.print(a.out)
	}
	return nil
}

// usersOf returns the names of the workloads that refer to each config.
func usersOf(workloads []*argosyv1.Workload) map[string][]string {
	users := map[string][]string{}
	for _, w := range workloads {
		for _, key := range slices.Compact(slices.Sorted(maps.Values(w.GetConfigs()))) {
			users[key] = append(users[key], w.GetName())
		}
	}
	return users
}

func (a *app) deleteConfigCommand() *cobra.Command {
	var (
		ignoreMissing, dryRun bool
		stateRevision         uint64
	)
	cmd := &cobra.Command{
		Use:               "config KEY...",
		Aliases:           []string{"configs"},
		Short:             "Remove configs",
		Long:              "Delete config removes configs by their keys, all of them or none. It is refused while a workload uses one.",
		Example:           "  argosy delete config web-settings",
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeConfigs,
		RunE: func(cmd *cobra.Command, keys []string) error {
			return a.delete(cmd.Context(), &argosyv1.DeleteRequest{
				Configs: keys, IgnoreMissing: ignoreMissing, DryRun: dryRun, ExpectedStateRevision: stateRevision,
			}, waitOptions{noWait: true}) // Nothing that runs can depend on them.
		},
	}
	cmd.Flags().BoolVar(&ignoreMissing, "ignore-missing", false, "take a config that does not exist for deleted")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what it would do, and change nothing")
	cmd.Flags().Uint64Var(&stateRevision, "if-state-revision", 0, "refuse if any workload or config was created, changed or deleted after this revision")
	return cmd
}

func (a *app) completeConfigs(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	state := a.readForCompletion(cmd, &argosyv1.GetStateRequest{OmitWorkloads: true, OmitStates: true, OmitAgents: true})
	var keys []string
	for _, c := range state.GetConfigs() {
		keys = append(keys, c.GetKey())
	}
	return keys, cobra.ShellCompDirectiveNoFileComp
}
