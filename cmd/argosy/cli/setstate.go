package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/manifest/complete"
	"github.com/argosy-cluster/argosy/manifest/mask"
	"github.com/argosy-cluster/argosy/manifest/tree"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func (a *app) setCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set state MASK... FILE",
		Short: "Change parts of the state",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return usagef("say what to set: state MASK... FILE")
		},
	}
	cmd.AddCommand(a.setStateCommand())
	return cmd
}

func (a *app) setStateCommand() *cobra.Command {
	var dryRun bool
	var wait waitOptions
	cmd := &cobra.Command{
		Use:   "state MASK... FILE",
		Short: "Take parts of the state from a file",
		Long: `Set state takes what masks name from a file that has the shape that get state shows:
what the file has there is set, and what it does not have is removed. Only
desiredState and the tags of connected agents can be set. "*" in such a mask is just
a name.

Should what it touches be changed meanwhile, it reads the state again and takes the
parts from the file anew.`,
		Example: "  argosy set state desiredState.workloads.web.tags state.yaml\n  argosy set state agents.agent-1.tags - < state.yaml",
		Args:    usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := args[len(args)-1]
			masks, err := settableMasks(args[:len(args)-1])
			if err != nil {
				return err
			}
			text, err := a.readFile(path)
			if err != nil {
				return err
			}
			state, err := tree.ReadYAML(text)
			if err != nil {
				return fmt.Errorf("read state %s: %w", path, err)
			}
			if state.Child(desiredPart).Len() == 0 && setsDesired(masks) {
				return fmt.Errorf("read state %s: it has no %s, of which it is to be taken: write %s with its apiVersion, even where all of it shall go",
					path, desiredPart, desiredPart)
			}
			return a.withClient(func(c *client.Client) error {
				return a.setState(cmd.Context(), c, state, masks, dryRun, wait)
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what it would do, and change nothing")
	wait.addFlags(cmd)
	return cmd
}

// settableMasks reads masks for an update, and refuses those by which it would take
// nothing.
func settableMasks(texts []string) (*mask.Set, error) {
	masks, err := parseMasks(texts)
	if err != nil {
		return nil, err
	}
	for _, m := range masks.Masks() {
		if m[0] != desiredPart && (m[0] != agentsPart || len(m) > 2 && m[2] != "tags") {
			return nil, usagef("'%s' cannot be set: only %s and the tags of agents can, as in desiredState.workloads.web and agents.agent-1.tags", m, desiredPart)
		}
	}
	return masks, nil
}

// setsDesired tells whether a mask is for what shall be. A file that says nothing of
// that, such as an empty one, would remove all that such a mask names.
func setsDesired(masks *mask.Set) bool {
	return slices.ContainsFunc(masks.Masks(), func(m mask.Mask) bool { return m[0] == desiredPart })
}

// setTries is how often an update is judged anew because something that it touches
// was changed meanwhile.
const setTries = 10

func (a *app) setState(ctx context.Context, c *client.Client, state *tree.Node, masks *mask.Set, dryRun bool, wait waitOptions) error {
	for try := 1; ; try++ {
		current, err := c.GetState(ctx, complete.StateRequest(masks))
		if err != nil {
			return err
		}
		request, err := complete.Of(current).Update(state, masks)
		if errors.Is(err, mask.ErrNoField) {
			return fmt.Errorf(`set state: %w: see what is there with 'argosy get state'; "*" is just a name here`, err)
		}
		if err != nil {
			return fmt.Errorf("set state: %w", err)
		}
		if request == nil {
			fmt.Fprintln(a.out, "Nothing to update. The state has all of it.")
			return nil
		}
		request.DryRun = dryRun
		response, err := c.Apply(ctx, request)
		if argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_CONFLICT && try < setTries {
			continue
		}
		if err != nil {
			return err
		}
		return a.applied(ctx, c, request, response, wait)
	}
}
