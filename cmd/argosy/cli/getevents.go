package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/manifest/complete"
	"github.com/argosy-cluster/argosy/manifest/tree"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func (a *app) getEventsCommand() *cobra.Command {
	var o getOptions
	var current bool
	cmd := &cobra.Command{
		Use:   "events [MASK...]",
		Short: "Show how the state changes, until interrupted",
		Long: `Get events shows every change of the state, or of those parts of it that masks
select: when the server came to know of it, up to which revision what was asked for
is in it, which fields were added, updated and removed, and what is in them now.
` + masksHelp + `

When its server is lost, it goes on at another one. Where that can tell only what is
now and not what came and went meanwhile, the next event has startedAgainFrom:
snapshot.`,
		Example:           "  argosy get events\n  argosy get events -o json workloadStates.*.web",
		ValidArgsFunction: a.completeMasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check("yaml", "json"); err != nil {
				return err
			}
			masks, err := parseMasks(args)
			if err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				mirror, observer := complete.NewMirror(), complete.NewObserver(masks)
				err := c.Watch(cmd.Context(), complete.WatchRequest(masks), func(m *argosyv1.WatchResponse) error {
					if !mirror.Take(m) {
						return nil
					}
					event := observer.Look(mirror)
					if event == nil || (event.Current && !current) {
						return nil
					}
					return a.printNodeLine(o.output, eventNode(event))
				})
				if isCancelled(cmd.Context(), err) {
					return nil
				}
				return err
			})
		},
	}
	addStreamOutput(cmd, &o)
	cmd.Flags().BoolVarP(&current, "include-current-state", "c", false, "begin with the state as it is")
	return cmd
}

// eventNode returns an event as it is written out.
func eventNode(e *complete.Event) *tree.Node {
	node := map[string]*tree.Node{
		"number":        tree.NewCount(e.Number),
		"revision":      tree.NewCount(e.Revision),
		"addedFields":   pathList(e.Added),
		"updatedFields": pathList(e.Updated),
		"removedFields": pathList(e.Removed),
	}
	// Servers of the former release do not say.
	if e.Time.UnixNano() != 0 {
		node["timestamp"] = tree.NewText(e.Time.UTC().Format(time.RFC3339Nano))
	}
	if e.Restarted {
		node["startedAgainFrom"] = tree.NewText("snapshot")
	}
	if e.Current || e.State.Len() > 0 {
		node["completeState"] = e.State
	}
	return tree.NewMap(node)
}

// pathList returns a list of paths, nil for none.
func pathList(paths []string) *tree.Node {
	if len(paths) == 0 {
		return nil
	}
	items := make([]*tree.Node, len(paths))
	for i, path := range paths {
		items[i] = tree.NewText(path)
	}
	return tree.NewList(items)
}
