package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/manifest/complete"
	"github.com/argosy-cluster/argosy/manifest/mask"
	"github.com/argosy-cluster/argosy/manifest/tree"
)

// Parts of the state.
const (
	desiredPart   = "desiredState"
	effectivePart = "effectiveState"
	agentsPart    = "agents"
)

// usualParts are what is shown of the state when nobody asks for a part of it:
// what is effective says the same as what is desired where there are no templates.
var usualParts = []string{desiredPart, "workloadStates", agentsPart}

const masksHelp = `A mask is a path of names, such as desiredState.workloads.web or agents.*.tags; "*"
stands for any one name.`

func (a *app) getStateCommand() *cobra.Command {
	var o getOptions
	var effective bool
	cmd := &cobra.Command{
		Use:   "state [MASK...]",
		Short: "Show the state or parts of it: what shall be, what is, and the agents",
		Long: `Get state shows what shall be, what is, and the agents, or those parts of it that
masks select. ` + masksHelp,
		Example:           "  argosy get state\n  argosy get state desiredState.workloads.web workloadStates.*.web\n  argosy get state --effective desiredState.workloads.web",
		ValidArgsFunction: a.completeMasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check("yaml", "json"); err != nil {
				return err
			}
			masks, err := stateMasks(args, effective)
			if err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				request := complete.StateRequest(masks)
				request.Consistency = o.consistency()
				state, err := c.GetState(cmd.Context(), request)
				if err != nil {
					return err
				}
				a.tellStaleness(state.GetHeader())
				// The revision is what --if-state-revision takes.
				revision := tree.NewCount(state.GetHeader().GetRevision())
				return a.printNode(o.output, mask.Filter(complete.Of(state).Tree(), masks).With("revision", revision))
			})
		},
	}
	addStreamOutput(cmd, &o)
	cmd.Flags().BoolVar(&o.stale, "stale", false, "take what the server has, without asking the leader")
	cmd.Flags().BoolVar(&effective, "effective", false, "show what templates are rendered to instead of what was written: "+effectivePart+" in place of "+desiredPart)
	return cmd
}

func addStreamOutput(cmd *cobra.Command, o *getOptions) {
	cmd.Flags().StringVarP(&o.output, "output", "o", "yaml", "output format: yaml or json")
}

// stateMasks reads masks from the command line.
func stateMasks(texts []string, effective bool) (*mask.Set, error) {
	if len(texts) == 0 {
		texts = usualParts
		if effective {
			texts = []string{effectivePart}
		}
	}
	meant := make([]string, len(texts))
	for i, text := range texts {
		meant[i] = text
		if rest, found := strings.CutPrefix(text, desiredPart); found && effective && (rest == "" || rest[0] == '.') {
			meant[i] = effectivePart + rest
		}
	}
	return parseMasks(meant)
}

// parseMasks reads masks of parts that the state can have.
func parseMasks(texts []string) (*mask.Set, error) {
	masks, err := mask.ParseSet(texts)
	if err != nil {
		return nil, usagef("%w", err)
	}
	for _, m := range masks.Masks() {
		if len(m) > 0 && m[0] != mask.Any && m[0] != effectivePart && !slices.Contains(usualParts, m[0]) {
			return nil, usagef("%w: '%s' names no part of the state: begin it with %s or %s", mask.ErrInvalid, m, strings.Join(usualParts, ", "), effectivePart)
		}
	}
	return masks, nil
}

// printNode writes a tree.
func (a *app) printNode(format string, n *tree.Node) error {
	text := n.YAML()
	if format == "json" {
		var indented bytes.Buffer
		if err := json.Indent(&indented, n.JSON(), "", "  "); err != nil {
			return fmt.Errorf("write json: %w", err)
		}
		text = append(indented.Bytes(), '\n')
	}
	_, err := a.out.Write(text)
	return err
}

// printNodeLine writes one tree of a stream: a line of JSON, or a YAML document.
func (a *app) printNodeLine(format string, n *tree.Node) error {
	text := append([]byte("---\n"), n.YAML()...)
	if format == "json" {
		text = append(n.JSON(), '\n')
	}
	_, err := a.out.Write(text)
	return err
}

// completeMasks offers the names that may follow in a mask.
func (a *app) completeMasks(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	const more = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	at := strings.LastIndex(typed, ".")
	if at < 0 {
		return append([]string{effectivePart}, usualParts...), more
	}
	parent := typed[:at]
	masks, err := mask.ParseSet([]string{parent})
	if err != nil {
		return nil, more
	}
	var names []string
	state := complete.Of(a.readForCompletion(cmd, complete.StateRequest(masks))).Tree()
	for name := range state.Get(strings.Split(parent, ".")...).Children() {
		names = append(names, parent+"."+name)
	}
	return names, more
}
