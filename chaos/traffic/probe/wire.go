package probe

import (
	"fmt"
	"strings"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/proto/ankaios"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// pathOf is the path of an object of the load in the state.
func pathOf(object string) string {
	if history.IsConfig(object) {
		return "desiredState.configs." + object
	}
	return "desiredState.workloads." + object
}

// accessTo are the rules of a workload that may read and write one object, and read
// what itself prints, and nothing else.
func accessTo(object, workload string) *argosyv1.ControlInterfaceAccess {
	return &argosyv1.ControlInterfaceAccess{AllowRules: []*argosyv1.AccessRule{
		{Kind: &argosyv1.AccessRule_State{State: &argosyv1.StateRule{
			Operation: argosyv1.AccessOperation_ACCESS_OPERATION_READ_WRITE, FilterMasks: []string{pathOf(object)},
		}}},
		{Kind: &argosyv1.AccessRule_Log{Log: &argosyv1.LogRule{WorkloadNames: []string{workload}}}},
	}}
}

// stateWith is a state with an object of a value: a config, or a workload that
// nobody runs.
func stateWith(object, value string) *ankaios.CompleteState {
	state := &ankaios.State{ApiVersion: "v1"}
	if history.IsConfig(object) {
		state.Configs = &ankaios.ConfigMap{Configs: map[string]*ankaios.ConfigItem{object: {ConfigItemEnum: &ankaios.ConfigItem_String_{String_: value}}}}
	} else {
		runtime, nobody := "process", ""
		state.Workloads = &ankaios.WorkloadMap{Workloads: map[string]*ankaios.Workload{object: {Agent: &nobody, Runtime: &runtime, RuntimeConfig: &value}}}
	}
	return &ankaios.CompleteState{DesiredState: state}
}

// foundIn is an object in a state, none when it is not there.
func foundIn(state *ankaios.CompleteState, object string) []history.Object {
	if config, ok := state.GetDesiredState().GetConfigs().GetConfigs()[object]; ok {
		return []history.Object{{Name: object, Value: config.GetString_()}}
	}
	if w, ok := state.GetDesiredState().GetWorkloads().GetWorkloads()[object]; ok {
		return []history.Object{{Name: object, Value: history.Value(w.GetRuntimeConfig())}}
	}
	return nil
}

// answer is a response as it is recorded.
func answer(response *ankaios.Response, object string) history.Message {
	m := history.Message{What: history.MessageAnswer, Request: response.GetRequestId(), Outcome: history.Done}
	switch content := response.GetResponseContent().(type) {
	case *ankaios.Response_Error:
		m.Error = content.Error.GetMessage()
		m.Outcome = outcomeOf(m.Error)
	case *ankaios.Response_CompleteStateResponse:
		m.Found = foundIn(content.CompleteStateResponse.GetCompleteState(), object)
		altered := content.CompleteStateResponse.GetAlteredFields()
		m.Altered = append(append(m.Altered, altered.GetAddedFields()...), altered.GetUpdatedFields()...)
		m.Removed = altered.GetRemovedFields()
	case *ankaios.Response_EventsCancelAccepted:
		m.Action = history.Unsubscribe
	case *ankaios.Response_LogsRequestAccepted:
		// It may be too young to be known to the servers.
		m.Ends = len(content.LogsRequestAccepted.GetWorkloadNames()) == 0
	case *ankaios.Response_LogEntriesResponse:
		m.Shown = shown(content.LogEntriesResponse.GetLogEntries())
	case *ankaios.Response_LogsStopResponse:
		m.Ends = true
	case *ankaios.Response_LogsCancelAccepted:
		m.Action = history.Unfollow
	case *ankaios.Response_UpdateStateSuccess:
	default:
		m.Outcome, m.Error = history.Unknown, "an answer without a content that was asked for"
	}
	return m
}

// shown are lines as they are recorded.
func shown(entries []*ankaios.LogEntry) []history.Shown {
	var all []history.Shown
	for _, entry := range entries {
		line, err := ParseLine([]byte(entry.GetMessage()))
		if err != nil {
			all = append(all, history.Shown{Foreign: fmt.Sprintf("%.200s", entry.GetMessage())})
			continue
		}
		if n := len(all); n > 0 && all[n-1].PID == line.PID && all[n-1].Value == line.Value && all[n-1].To+1 == line.Number {
			all[n-1].To = line.Number
			continue
		}
		all = append(all, history.Shown{Value: line.Value, PID: line.PID, From: line.Number, To: line.Number})
	}
	return all
}

// certain are the beginnings of the errors that say that nothing was done. Errors of the
// protocol have nothing but their text; these are words that workloads may look for.
var certain = []string{"Access denied", "Update rejected", "invalid request", "refused"}

// outcomeOf is what an error tells of the fate of what was asked for.
func outcomeOf(text string) history.Outcome {
	for _, beginning := range certain {
		if strings.HasPrefix(text, beginning) {
			return history.Refused
		}
	}
	return history.Unknown
}
