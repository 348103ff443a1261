package writer

import (
	"slices"
	"strings"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// maxNamed is how many workloads a refusal names.
const maxNamed = 5

// removeAgent drafts that the record of an agent is deleted. What it is known to
// have is in the result, for nobody knows of it afterwards.
func (d *draft) removeAgent() refuse {
	r := d.request.Remove
	before, did := d.remove(kindAgent, r.GetName())
	if did == argosyv1.ChangeKind_CHANGE_KIND_MISSING {
		return func() error {
			return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND,
				"remove agent %q: no agent of that name is registered; see 'argosy agent list'", r.GetName())
		}
	}
	connected, known := d.agent(r.GetName())
	if !r.GetForce() {
		if connected {
			return d.stillAgent(before, "it is connected; stop it first, or force it")
		}
		if assigned := d.assigned(r.GetName()); len(assigned) > 0 {
			more := ""
			if len(assigned) > maxNamed {
				more = " and others"
			}
			return d.stillAgent(before, "it is to run %s%s; move or delete them first, or force it",
				strings.Join(assigned[:min(len(assigned), maxNamed)], ", "), more)
		}
	}
	for _, state := range known {
		d.result.Forgotten = append(d.result.Forgotten, &argosyv1.WorkloadState{
			Instance:  state.GetInstance(),
			Execution: &argosyv1.ExecutionState{State: state.GetExecution().GetState(), Substate: state.GetExecution().GetSubstate()},
		})
	}
	return nil
}

func (d *draft) stillAgent(row Row, format string, args ...any) refuse {
	name := d.request.Remove.GetName()
	return func() error {
		err := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "remove agent %q: "+format, append([]any{name}, args...)...)
		err.Detail.CurrentRevision = row.revision
		return err
	}
}

// assigned returns the workloads that are to run on an agent, in order.
func (c *Working) assigned(agent string) []string {
	var names []string
	for row := range c.view.WorkloadsOf(agent) {
		if _, pending := c.rows[rowKey{kindWorkload, row.Key}]; !pending {
			names = append(names, row.Key)
		}
	}
	for key, row := range c.rows {
		if key.kind != kindWorkload || row.deleted {
			continue
		}
		if is := sketchOf(row.value); string(is.agent) == agent {
			names = append(names, key.key)
		}
	}
	slices.Sort(names)
	return names
}
