package cli

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/argosy-cluster/argosy/manifest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func (a *app) runCommand() *cobra.Command {
	var (
		workload argosyv1.Workload
		policy   string
		image    string
		options  []string
		replace  bool
		tags     map[string]string
		dryRun   bool
		wait     waitOptions
	)
	cmd := &cobra.Command{
		Use:   "run [workload] NAME --agent AGENT [--image IMAGE] [-- COMMAND ARG...]",
		Short: "Run one workload without writing a manifest",
		Long: `Run creates one workload from its flags, waits until it runs (or has ended), and
shows why when it does not. A name that is taken is refused, but for --replace.`,
		Example: `  argosy run web --agent a1 --image docker.io/library/nginx
  argosy run tick --agent a1 --runtime process -- /bin/sh -c 'while :; do date; sleep 1; done'
  argosy run db --agent a1 --runtime podman --config "$(cat db.yaml)"`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			named := len(args)
			if dash := cmd.ArgsLenAtDash(); dash >= 0 {
				named = dash
			}
			if named == 2 && args[0] == "workload" {
				args, named = args[1:], 1
			}
			if named != 1 {
				return usagef("put the command after --: argosy run %s ... -- %s", args[0], strings.Join(args[1:], " "))
			}
			workload.Name = args[0]
			workload.Tags = tags
			p, ok := map[string]argosyv1.RestartPolicy{
				"NEVER": argosyv1.RestartPolicy_RESTART_POLICY_NEVER, "ON_FAILURE": argosyv1.RestartPolicy_RESTART_POLICY_ON_FAILURE,
				"ALWAYS": argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS,
			}[policy]
			if !ok {
				return usagef("'%s' is not a restart policy: use NEVER, ON_FAILURE or ALWAYS", policy)
			}
			workload.RestartPolicy = p
			if err := fillConfig(&workload, image, options, args[1:]); err != nil {
				return err
			}
			if err := manifest.Validate(&workload); err != nil {
				return err
			}
			err := a.apply(cmd.Context(), &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{&workload}, MustNotExist: !replace, DryRun: dryRun}, wait)
			if !replace && argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_CONFLICT {
				return fmt.Errorf("%w, or replace it with --replace", err)
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&workload.Agent, "agent", "", "agent to run it on; without one it is not scheduled")
	flags.StringVar(&workload.Runtime, "runtime", "podman", "runtime: podman, podman-kube or process")
	flags.StringVar(&workload.RuntimeConfig, "config", "", "runtime configuration in YAML, instead of --image and a command")
	flags.StringVar(&image, "image", "", "image to run (podman)")
	flags.StringArrayVar(&options, "option", nil, "option of podman's own run command, such as --option=-p --option=8080:80")
	flags.StringVar(&policy, "restart", "NEVER", "restart policy: NEVER, ON_FAILURE or ALWAYS")
	flags.StringToStringVar(&tags, "tag", nil, "tag, key=value; several with commas")
	flags.BoolVar(&replace, "replace", false, "replace a workload of this name")
	flags.BoolVar(&dryRun, "dry-run", false, "show what would start, stop and restart, and change nothing")
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "tags" {
			name = "tag"
		}
		return pflag.NormalizedName(name)
	})
	_ = cmd.RegisterFlagCompletionFunc("agent", a.completeAgents)
	wait.addFlags(cmd)
	return cmd
}

// fillConfig writes the runtime configuration from the flags.
func fillConfig(w *argosyv1.Workload, image string, options, command []string) error {
	if w.RuntimeConfig != "" {
		if image != "" || len(options) > 0 || len(command) > 0 {
			return usagef("--config stands alone: put image, options and command into it")
		}
		return nil
	}
	config := yaml.MapSlice{}
	switch w.Runtime {
	case "process":
		if len(command) == 0 || image != "" {
			return usagef("the process runtime needs a command after -- and takes no --image")
		}
		config = append(config, yaml.MapItem{Key: "command", Value: command[0]})
		if len(command) > 1 {
			config = append(config, yaml.MapItem{Key: "args", Value: command[1:]})
		}
	default:
		if image == "" {
			return usagef("name the image with --image, or give the whole configuration with --config")
		}
		config = append(config, yaml.MapItem{Key: "image", Value: image})
		if len(options) > 0 {
			config = append(config, yaml.MapItem{Key: "commandOptions", Value: options})
		}
		if len(command) > 0 {
			config = append(config, yaml.MapItem{Key: "commandArgs", Value: command})
		}
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		return fmt.Errorf("write runtime configuration: %w", err)
	}
	w.RuntimeConfig = string(text)
	return nil
}
