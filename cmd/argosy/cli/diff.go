package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/manifest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// exitTrouble is the exit code of a comparison that failed, as with diff(1): 1
// says that there is a difference.
const exitTrouble = 2

// codedError ends the program with an exit code of its own.
type codedError struct {
	error
	code int
}

func (e *codedError) Unwrap() error { return e.error }

func (a *app) diffCommand() *cobra.Command {
	var (
		files  []string
		agent  string
		strict bool
	)
	cmd := &cobra.Command{
		Use:   "diff FILE...",
		Short: "Show what apply would change, line by line",
		Long: `Diff shows what "apply" would change, and changes nothing: the fields that differ,
long texts line by line, and the same of what templates are rendered to, also for
workloads that are not named but use a config that changes.

Exit codes: 0 no difference, 1 there is one, 2 or more it could not be told.`,
		Example: "  argosy diff web.yaml",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			given := cmd.Flags().Changed("agent")
			m, err := a.readManifests(append(files, args...), manifest.Options{Strict: strict, RequireAgent: !given})
			if err == nil {
				if given {
					setAgent(m, agent)
				}
				err = a.diff(cmd.Context(), m)
			}
			if err != nil && exitCode(err) == argosyv1.ExitFailed && !errors.Is(err, errDiffers) {
				return &codedError{err, exitTrouble}
			}
			return err
		},
	}
	cmd.Flags().StringSliceVarP(&files, "file", "f", nil, "manifest to compare, - for standard input; several are taken together")
	cmd.Flags().StringVar(&agent, "agent", "", "as with apply")
	cmd.Flags().BoolVar(&strict, "strict", false, "refuse fields that are not known")
	_ = cmd.RegisterFlagCompletionFunc("agent", a.completeAgents)
	return cmd
}

// errDiffers is returned by a comparison that found a difference.
var errDiffers = &codedError{errFailed, argosyv1.ExitFailed}

func (a *app) diff(ctx context.Context, m *manifest.Manifest) error {
	if len(m.Workloads)+len(m.Configs) == 0 {
		return nil
	}
	return a.withClient(func(c *client.Client) error {
		compared, err := compare(ctx, c, m)
		if err != nil {
			return err
		}
		if !compared.print(a.out) {
			return nil
		}
		return errDiffers
	})
}

// comparison is a dry run of a manifest, and the state that it was run on.
type comparison struct {
	result    *argosyv1.WriteResult
	wanted    map[string]*argosyv1.Workload
	configs   map[string]*argosyv1.Config
	workloads map[string]*argosyv1.Workload // as they are
	present   map[string]*argosyv1.Config   // as they are
}

// mostTries bounds how often a comparison begins anew because somebody writes
// meanwhile.
const mostTries = 5

// compare lets the servers judge the manifest, and reads what they compared it
// with.
func compare(ctx context.Context, c *client.Client, m *manifest.Manifest) (*comparison, error) {
	for range mostTries {
		response, err := c.Apply(ctx, &argosyv1.ApplyRequest{Workloads: m.Workloads, Configs: m.Configs, DryRun: true})
		if err != nil {
			return nil, err
		}
		result := response.GetResult()
		request := &argosyv1.GetStateRequest{OmitStates: true, OmitAgents: true}
		for _, change := range result.GetChanges() {
			request.Names = append(request.Names, change.GetName())
		}
		for _, change := range result.GetRendered() {
			request.Names = append(request.Names, change.GetName())
		}
		request.OmitWorkloads = len(request.Names) == 0
		state, err := c.GetState(ctx, request)
		if err != nil {
			return nil, err
		}
		compared := newComparison(m, result, state)
		if !compared.newerThan(response.GetHeader().GetRevision()) {
			return compared, nil
		}
	}
	return nil, fmt.Errorf("compare with the cluster: somebody changed it %d times meanwhile: try again when it is quieter", mostTries)
}

func newComparison(m *manifest.Manifest, result *argosyv1.WriteResult, state *argosyv1.GetStateResponse) *comparison {
	compared := &comparison{
		result: result, wanted: map[string]*argosyv1.Workload{}, configs: map[string]*argosyv1.Config{},
		workloads: map[string]*argosyv1.Workload{}, present: map[string]*argosyv1.Config{},
	}
	for _, w := range m.Workloads {
		compared.wanted[w.GetName()] = w
	}
	for _, w := range state.GetWorkloads() {
		compared.workloads[w.GetName()] = w
	}
	for _, config := range state.GetConfigs() {
		compared.configs[config.GetKey()] = config
		compared.present[config.GetKey()] = config
	}
	for _, config := range m.Configs {
		compared.configs[config.GetKey()] = config
	}
	return compared
}

// newerThan tells whether a workload or config was changed after a revision.
func (c *comparison) newerThan(revision uint64) bool {
	for _, w := range c.workloads {
		if w.GetRevision() > revision {
			return true
		}
	}
	for _, config := range c.present {
		if config.GetRevision() > revision {
			return true
		}
	}
	return false
}

// print writes what differs, and reports whether anything does.
func (c *comparison) print(out io.Writer) (differs bool) {
	for _, change := range c.result.GetConfigs() {
		if change.GetKind() != argosyv1.ChangeKind_CHANGE_KIND_UNCHANGED {
			differs = true
			key := change.GetKey()
			fmt.Fprintf(out, "config %s: %s\n", key, kindWords[change.GetKind()])
			writeDiff(out, "config "+key, configText(c.present[key]), configText(c.configs[key]))
		}
	}
	for _, change := range c.result.GetChanges() {
		if change.GetKind() != argosyv1.ChangeKind_CHANGE_KIND_UNCHANGED {
			differs = true
			c.printWorkload(out, change, c.wanted[change.GetName()])
		}
	}
	for _, change := range c.result.GetRendered() {
		differs = true
		c.printWorkload(out, change, c.workloads[change.GetName()])
	}
	if differs {
		fmt.Fprintf(out, "%s\n", planSummary(c.result))
	}
	return differs
}

func (c *comparison) printWorkload(out io.Writer, change *argosyv1.WorkloadChange, wanted *argosyv1.Workload) {
	name := change.GetName()
	before, after := c.workloads[name], c.render(wanted)
	effect := effectWords[change.GetEffect()]
	switch {
	case effect == "":
		effect = "nothing starts or stops"
	case change.GetPreviousAgent() != "" && change.GetAgent() != "":
		effect += fmt.Sprintf(" on %s, after %s has stopped it", change.GetAgent(), change.GetPreviousAgent())
	default:
		effect += " on " + cmp.Or(change.GetAgent(), change.GetPreviousAgent())
	}
	fmt.Fprintf(out, "workload %s: %s, %s\n", name, kindWords[change.GetKind()], effect)
	changes := manifest.Changes(before, after)
	for _, field := range changes {
		writeField(out, name, field)
	}
	// Of a template that has changed, what it is rendered to as well.
	for _, field := range manifest.Changes(before.Effective(), after.Effective()) {
		shown := slices.ContainsFunc(changes, func(c manifest.FieldChange) bool {
			return c.Field == field.Field && c.Old == field.Old && c.New == field.New
		})
		if !shown {
			field.Rendered = true
			writeField(out, name, field)
		}
	}
}

// render renders a workload with the configs as they will be. The servers have
// found it right already; where this program cannot render it, it is shown as it
// is written.
func (c *comparison) render(w *argosyv1.Workload) *argosyv1.Workload {
	rendered, err := manifest.Render(w, func(key string) (*argosyv1.ConfigItem, bool) {
		config, ok := c.configs[key]
		return config.GetValue(), ok
	})
	w = argosyv1.Shallow(w)
	w.Rendered = nil
	if err == nil {
		w.Rendered = rendered
	}
	return w
}

// writeField shows one field: a short one on one line, others line by line.
func writeField(out io.Writer, workload string, change manifest.FieldChange) {
	field := change.Field
	if change.Rendered {
		field += ", rendered"
	}
	switch {
	case strings.Contains(change.Old+change.New, "\n"):
		writeDiff(out, workload+" "+field, []byte(change.Old), []byte(change.New))
	case change.Old == "":
		fmt.Fprintf(out, "  + %s: %s\n", field, printable(change.New))
	case change.New == "":
		fmt.Fprintf(out, "  - %s: %s\n", field, printable(change.Old))
	default:
		fmt.Fprintf(out, "  ~ %s: %s -> %s\n", field, printable(change.Old), printable(change.New))
	}
}

func writeDiff(out io.Writer, what string, before, after []byte) {
	_, _ = io.WriteString(out, printableLines(string(manifest.Diff(what+" (now)", before, what+" (then)", after))))
}

// configText is a config as it stands in a manifest; empty for none.
func configText(config *argosyv1.Config) []byte {
	if config == nil {
		return nil
	}
	_, text, _ := bytes.Cut(manifest.Format(nil, []*argosyv1.Config{config}), []byte("configs:\n"))
	return text
}
