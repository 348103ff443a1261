package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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
		files  []string
		agent  string
		strict bool
		expect expectOptions
		wait   waitOptions
	)
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Create or change workloads as a manifest says",
		Long: `Apply creates the workloads of a manifest and changes those that exist; all of
them or none. Workloads that the manifest does not name are left alone. It waits
until what it asked for runs (or has ended), and shows why when it does not.`,
		Example: "  argosy apply -f web.yaml\n  argosy apply -f - < web.yaml",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := a.readManifests(append(files, args...), strict)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("agent") {
				for _, w := range m.Workloads {
					w.Agent = agent
				}
			}
			if len(m.Workloads)+len(m.Configs) == 0 {
				fmt.Fprintln(a.err, "nothing to apply: the manifest has no workloads and no configs")
				return nil
			}
			return a.apply(cmd.Context(), &argosyv1.ApplyRequest{
				Workloads: m.Workloads, Configs: m.Configs, ExpectedRevision: expect.revision, ExpectedStateRevision: expect.stateRevision,
			}, wait)
		},
	}
	cmd.Flags().StringSliceVarP(&files, "file", "f", nil, "manifest to apply, - for standard input; several are taken together")
	cmd.Flags().StringVar(&agent, "agent", "", "run all of them on this agent, whatever the manifest says")
	cmd.Flags().BoolVar(&strict, "strict", false, "refuse fields that are not known")
	expect.addFlags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("agent", a.completeAgents)
	wait.addFlags(cmd)
	return cmd
}

// readManifests reads files and takes what is in them together.
func (a *app) readManifests(paths []string, strict bool) (*manifest.Manifest, error) {
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
	m, err := manifest.ParseAll(sources, manifest.Options{Strict: strict})
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
	counts := map[argosyv1.ChangeKind]int{}
	for _, change := range response.GetResult().GetChanges() {
		counts[change.GetKind()]++
	}
	fmt.Fprintf(a.out, "applied at revision %d: %d created, %d changed, %d unchanged\n", response.GetHeader().GetRevision(),
		counts[argosyv1.ChangeKind_CHANGE_KIND_CREATED], counts[argosyv1.ChangeKind_CHANGE_KIND_UPDATED], counts[argosyv1.ChangeKind_CHANGE_KIND_UNCHANGED])
	if wait.noWait {
		return nil
	}
	w := newWait(a, response, wait)
	for _, workload := range request.GetWorkloads() {
		w.expect(workload)
	}
	return w.run(ctx, c)
}

func (a *app) deleteCommand() *cobra.Command {
	var (
		files         []string
		ignoreMissing bool
		expect        expectOptions
		wait          waitOptions
	)
	cmd := &cobra.Command{
		Use:               "delete NAME...",
		Short:             "Remove workloads",
		Long:              "Delete removes workloads by name, or those that a manifest names, all of them or none, and waits until they are gone.",
		Example:           "  argosy delete web\n  argosy delete -f web.yaml",
		ValidArgsFunction: a.completeWorkloads,
		RunE: func(cmd *cobra.Command, names []string) error {
			if len(files) > 0 {
				m, err := a.readManifests(files, false)
				if err != nil {
					return err
				}
				for _, w := range m.Workloads {
					names = append(names, w.GetName())
				}
			}
			if len(names) == 0 {
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
	deleted := 0
	for _, change := range response.GetResult().GetChanges() {
		if change.GetKind() == argosyv1.ChangeKind_CHANGE_KIND_DELETED {
			deleted++
		}
	}
	fmt.Fprintf(a.out, "deleted at revision %d: %s\n", response.GetHeader().GetRevision(), plural(deleted, "workload"))
	if wait.noWait || deleted == 0 {
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
