package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/manifest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// waitOptions are shared by the commands that change what runs.
type waitOptions struct {
	noWait          bool
	timeout, steady time.Duration
}

func (o *waitOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.noWait, "no-wait", false, "return when the servers have accepted it")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 2*time.Minute, "how long to wait for the workloads")
	cmd.Flags().DurationVar(&o.steady, "steady", 500*time.Millisecond, "how long a workload must have run to be taken for running")
}

// expectOptions say what must not have changed meanwhile.
type expectOptions struct{ revision, stateRevision uint64 }

func (o *expectOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().Uint64Var(&o.revision, "if-revision", 0, "refuse unless every workload is at this revision")
	cmd.Flags().Uint64Var(&o.stateRevision, "if-state-revision", 0, "refuse if any workload was created, changed or deleted after this revision")
}

func (a *app) applyCommand() *cobra.Command {
	var (
		files          []string
		agent          string
		strict, remove bool
		dryRun         bool
		expect         expectOptions
		wait           waitOptions
	)
	cmd := &cobra.Command{
		Use:   "apply -f FILE...",
		Short: "Create or change workloads and configs as manifests say",
		Long: `Apply creates the workloads and configs of manifests and changes those that exist; all
of them or none. What the manifests do not name is left alone, but for workloads
that a changed config renders to something else. It waits until what it asked for
runs (or has ended), and shows why when it does not.

With --delete it removes what the manifests name, as far as it exists.`,
		Example: "  argosy apply -f web.yaml\n  argosy apply -f - < web.yaml\n  argosy apply --dry-run web.yaml\n  argosy apply --delete web.yaml",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			given := cmd.Flags().Changed("agent")
			m, err := a.readManifests(append(files, args...), manifest.Options{Strict: strict, RequireAgent: !given && !remove})
			if err != nil {
				return err
			}
			if len(m.Workloads)+len(m.Configs) == 0 {
				fmt.Fprintln(a.out, "Nothing to update. The manifest has no workloads and no configs.")
				return nil
			}
			if remove {
				request := deletionOf(m)
				request.ExpectedRevision, request.ExpectedStateRevision, request.DryRun = expect.revision, expect.stateRevision, dryRun
				return a.delete(cmd.Context(), request, wait)
			}
			if given {
				setAgent(m, agent)
			}
			return a.apply(cmd.Context(), &argosyv1.ApplyRequest{
				Workloads: m.Workloads, Configs: m.Configs, DryRun: dryRun,
				ExpectedRevision: expect.revision, ExpectedStateRevision: expect.stateRevision,
			}, wait)
		},
	}
	cmd.Flags().StringSliceVarP(&files, "file", "f", nil, "manifest to apply, - for standard input; several are taken together")
	cmd.Flags().StringVar(&agent, "agent", "", "run all of them on this agent, whatever the manifest says; \"\" means on none")
	cmd.Flags().BoolVarP(&remove, "delete", "d", false, "delete the workloads and configs that the manifest names")
	cmd.Flags().BoolVar(&strict, "strict", false, "refuse fields that are not known")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would start, stop and restart, and change nothing")
	expect.addFlags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("agent", a.completeAgents)
	wait.addFlags(cmd)
	return cmd
}

// deletionOf asks to delete what a manifest names.
func deletionOf(m *manifest.Manifest) *argosyv1.DeleteRequest {
	request := &argosyv1.DeleteRequest{IgnoreMissing: true}
	for _, w := range m.Workloads {
		request.Names = append(request.Names, w.GetName())
	}
	for _, c := range m.Configs {
		request.Configs = append(request.Configs, c.GetKey())
	}
	return request
}

func setAgent(m *manifest.Manifest, agent string) {
	for _, w := range m.Workloads {
		w.Agent = agent
	}
}

// readManifests reads files and takes what is in them together.
func (a *app) readManifests(paths []string, options manifest.Options) (*manifest.Manifest, error) {
	if len(paths) == 0 {
		return nil, usagef("name a manifest: -f FILE, or -f - for standard input")
	}
	sources := make([]manifest.Source, len(paths))
	for i, path := range paths {
		text, err := a.readFile(path)
		if err != nil {
			return nil, err
		}
		sources[i] = manifest.Source{Name: path, Text: text}
	}
	m, err := manifest.ParseAll(sources, options)
	if err != nil {
		return nil, err
	}
	for _, warning := range m.Warnings {
		fmt.Fprintf(a.err, "warning: %s\n", warning)
	}
	return m, nil
}

func (a *app) readFile(path string) ([]byte, error) {
	reader := a.in
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		defer func() { _ = file.Close() }()
		reader = file
	}
	text, err := io.ReadAll(io.LimitReader(reader, manifest.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", path, err)
	}
	if len(text) > manifest.MaxSize {
		return nil, fmt.Errorf("read manifest %s: it is longer than %d bytes, the most that is read: split it into several", path, manifest.MaxSize)
	}
	return text, nil
}

// apply sends the request and waits for what it asks for.
func (a *app) apply(ctx context.Context, request *argosyv1.ApplyRequest, wait waitOptions) error {
	c, err := a.options.connect()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	response, err := c.Apply(ctx, request)
	if err != nil {
		return err
	}
	return a.applied(ctx, c, request, response, wait)
}

// applied tells what a write did, and waits for what it asks for.
func (a *app) applied(ctx context.Context, c *client.Client, request *argosyv1.ApplyRequest, response *argosyv1.WriteResponse, wait waitOptions) error {
	if request.GetDryRun() {
		a.printPlan(response)
		return nil
	}
	result := response.GetResult()
	counts, configs := map[argosyv1.ChangeKind]int{}, map[argosyv1.ChangeKind]int{}
	for _, change := range result.GetChanges() {
		counts[change.GetKind()]++
	}
	for _, change := range result.GetConfigs() {
		configs[change.GetKind()]++
	}
	fmt.Fprintf(a.out, "applied at revision %d: %s", response.GetHeader().GetRevision(), countsText(counts))
	if len(configs) > 0 {
		fmt.Fprintf(a.out, "; configs: %s", countsText(configs))
	}
	if n := len(result.GetRendered()); n > 0 {
		fmt.Fprintf(a.out, "; %s changed by configs", plural(n, "other workload"))
	}
	if n := len(request.GetAgentTags()); n > 0 {
		fmt.Fprintf(a.out, "; tags of %s", plural(n, "agent"))
	}
	fmt.Fprintln(a.out)
	if wait.noWait {
		return nil
	}
	return newWait(a, response, wait).run(ctx, c)
}

func countsText(counts map[argosyv1.ChangeKind]int) string {
	text := fmt.Sprintf("%d created, %d changed, %d unchanged", counts[argosyv1.ChangeKind_CHANGE_KIND_CREATED],
		counts[argosyv1.ChangeKind_CHANGE_KIND_UPDATED], counts[argosyv1.ChangeKind_CHANGE_KIND_UNCHANGED])
	if deleted := counts[argosyv1.ChangeKind_CHANGE_KIND_DELETED]; deleted > 0 {
		text += fmt.Sprintf(", %d deleted", deleted)
	}
	return text
}

func (a *app) deleteCommand() *cobra.Command {
	cmd := a.deleteWorkloadsCommand()
	cmd.Use, cmd.Short = "delete NAME...", "Remove workloads or configs"
	ofKind := a.deleteWorkloadsCommand()
	ofKind.Use, ofKind.Short, ofKind.Aliases = "workload NAME...", "Remove workloads", []string{"workloads"}
	cmd.AddCommand(ofKind, a.deleteConfigCommand())
	return cmd
}

func (a *app) deleteWorkloadsCommand() *cobra.Command {
	var (
		files         []string
		ignoreMissing bool
		expect        expectOptions
		wait          waitOptions
	)
	cmd := &cobra.Command{
		Long: `Delete removes workloads by name, or those that a manifest names, all of them or
none, and waits until they are gone. Of a workload that is named as one of the
commands below, such as config, write: argosy delete -- config`,
		Example:           "  argosy delete web\n  argosy delete -f web.yaml\n  argosy delete config web-settings",
		ValidArgsFunction: a.completeWorkloads,
		RunE: func(cmd *cobra.Command, names []string) error {
			if len(files) > 0 {
				m, err := a.readManifests(files, manifest.Options{})
				if err != nil {
					return err
				}
				for _, w := range m.Workloads {
					names = append(names, w.GetName())
				}
			}
			switch {
			case len(names) > 0:
			case len(files) > 0:
				return usagef("%s names no workloads to delete: delete configs with argosy apply --delete -f FILE", strings.Join(files, ", "))
			default:
				return usagef("name the workloads to delete, or a manifest with -f")
			}
			return a.delete(cmd.Context(), &argosyv1.DeleteRequest{
				Names: names, IgnoreMissing: ignoreMissing, ExpectedRevision: expect.revision, ExpectedStateRevision: expect.stateRevision,
			}, wait)
		},
	}
	cmd.Flags().StringSliceVarP(&files, "file", "f", nil, "delete the workloads that this manifest names")
	cmd.Flags().BoolVar(&ignoreMissing, "ignore-missing", false, "take a workload that does not exist for deleted")
	expect.addFlags(cmd)
	wait.addFlags(cmd)
	return cmd
}

func (a *app) delete(ctx context.Context, request *argosyv1.DeleteRequest, wait waitOptions) error {
	c, err := a.options.connect()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	response, err := c.Delete(ctx, request)
	if err != nil {
		return err
	}
	if request.GetDryRun() {
		a.printPlan(response)
		return nil
	}
	deleted, configs := 0, 0
	for _, change := range response.GetResult().GetChanges() {
		if change.GetKind() == argosyv1.ChangeKind_CHANGE_KIND_DELETED {
			deleted++
		}
	}
	for _, change := range response.GetResult().GetConfigs() {
		if change.GetKind() == argosyv1.ChangeKind_CHANGE_KIND_DELETED {
			configs++
		}
	}
	var parts []string
	if len(request.GetNames()) > 0 {
		parts = append(parts, plural(deleted, "workload"))
	}
	if len(request.GetConfigs()) > 0 {
		parts = append(parts, plural(configs, "config"))
	}
	fmt.Fprintf(a.out, "deleted at revision %d: %s\n", response.GetHeader().GetRevision(), strings.Join(parts, ", "))
	if wait.noWait {
		return nil
	}
	return newWait(a, response, wait).run(ctx, c)
}

// isCancelled tells a user's Ctrl-C from a failure.
func isCancelled(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded)
}

// lastLines asks for the last lines that an instance printed.
func lastLines(ctx context.Context, c *client.Client, name string, count int32) []string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var lines []string
	// Without its log the reason stands alone.
	_ = c.Logs(ctx, &argosyv1.LogsRequest{Names: []string{name}, Tail: count, HasTail: true}, func(r *argosyv1.LogsResponse) error {
		for _, line := range r.GetLines() {
			if !line.GetEnd() {
				lines = append(lines, string(line.GetLine()))
			}
		}
		return nil
	})
	return lines
}
