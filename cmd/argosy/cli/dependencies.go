package cli

import (
	"maps"
	"slices"
	"strings"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// dependency is what a workload needs of another one, and how that is now.
type dependency struct {
	name string
	// condition is what must be so: running, succeeded or failed.
	condition string
	holds     bool
	// present is the state of the other one.
	present string
}

// dependencies compares what is needed with a state, in order of names.
func dependencies(needs map[string]argosyv1.DependencyCondition, state *argosyv1.GetStateResponse) []dependency {
	var all []dependency
	for _, name := range slices.Sorted(maps.Keys(needs)) {
		d := dependency{name: name, condition: conditionWord(needs[name])}
		var present []string
		for _, s := range state.GetStates() {
			if s.GetInstance().GetWorkload() != name {
				continue
			}
			d.holds = d.holds || meets(s.GetExecution(), needs[name])
			present = append(present, stateText(s.GetExecution()))
		}
		switch {
		case len(present) > 0:
			d.present = strings.Join(present, "; ")
		case slices.ContainsFunc(state.GetWorkloads(), func(w *argosyv1.Workload) bool { return w.GetName() == name }):
			d.present = "without an instance"
		default:
			d.present = "not there: no workload has this name"
		}
		all = append(all, d)
	}
	return all
}

// meets tells whether an instance is as a condition wants it.
func meets(execution *argosyv1.ExecutionState, condition argosyv1.DependencyCondition) bool {
	switch condition {
	case argosyv1.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED:
		return execution.GetSubstate() == argosyv1.Substate_SUBSTATE_SUCCEEDED_OK
	case argosyv1.DependencyCondition_DEPENDENCY_CONDITION_FAILED:
		return execution.GetSubstate() == argosyv1.Substate_SUBSTATE_FAILED_EXEC_FAILED
	}
	return execution.GetSubstate() == argosyv1.Substate_SUBSTATE_RUNNING_OK
}

func conditionWord(condition argosyv1.DependencyCondition) string {
	return strings.ToLower(strings.TrimPrefix(condition.String(), "DEPENDENCY_CONDITION_"))
}

// stateText is a state with the reason for it, on one line.
func stateText(execution *argosyv1.ExecutionState) string {
	text := execution.Text()
	if info := oneLine(execution.GetAdditionalInfo()); info != "" && info != triggered {
		text += "  " + info
	}
	return text
}
