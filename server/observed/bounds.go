package observed

import (
	"maps"
	"slices"
	"unicode/utf8"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Bounds on what one agent may put into the memory of every server.
const (
	maxText     = 4 << 10 // additional info, a runtime's problem
	maxShort    = 256     // versions, ids, addresses
	maxID       = 64      // a SHA-256 in hexadecimal
	maxName     = 63      // names of workloads and agents
	maxRuntimes = 16

	maxArguments = 8 // of a reason; none has more than half as many
)

// truncate cuts a text to a size without leaving half a character, and keeps
// it valid UTF-8, which protobuf insists on.
func truncate(text string, size int) string {
	if len(text) <= size {
		return text
	}
	for size > 0 && !utf8.RuneStart(text[size]) {
		size--
	}
	return text[:size]
}

// boundExecution copies the known fields of a state, none larger than it may be.
func boundExecution(e *argosyv1.ExecutionState) *argosyv1.ExecutionState {
	return &argosyv1.ExecutionState{
		State:            e.GetState(),
		Substate:         e.GetSubstate(),
		AdditionalInfo:   truncate(e.GetAdditionalInfo(), maxText),
		ExitCode:         e.GetExitCode(),
		Restarts:         e.GetRestarts(),
		StartedUnixNanos: e.GetStartedUnixNanos(),
		RuntimeId:        truncate(e.GetRuntimeId(), maxShort),
		Reason:           boundReason(e.GetReason()),
	}
}

func boundReason(r *argosyv1.Reason) *argosyv1.Reason {
	if r == nil {
		return nil
	}
	bounded := &argosyv1.Reason{Code: r.GetCode()}
	for _, name := range slices.Sorted(maps.Keys(r.GetArguments())) {
		if len(bounded.Arguments) == maxArguments {
			break
		}
		if bounded.Arguments == nil {
			bounded.Arguments = make(map[string]string, len(r.GetArguments()))
		}
		bounded.Arguments[truncate(name, maxName)] = truncate(r.GetArguments()[name], maxText)
	}
	return bounded
}

func boundStatus(a *argosyv1.AgentStatus) *argosyv1.AgentStatus {
	runtimes := a.GetRuntimes()
	if len(runtimes) > maxRuntimes {
		runtimes = runtimes[:maxRuntimes]
	}
	bounded := &argosyv1.AgentStatus{
		Name:               a.GetName(),
		Connected:          a.GetConnected(),
		BootId:             truncate(a.GetBootId(), maxShort),
		Version:            truncate(a.GetVersion(), maxShort),
		CpuPercent:         min(a.GetCpuPercent(), 100),
		FreeMemoryBytes:    a.GetFreeMemoryBytes(),
		ConnectedUnixNanos: a.GetConnectedUnixNanos(),
		ConvergedRevision:  a.GetConvergedRevision(),
		Address:            truncate(a.GetAddress(), maxShort),
		InstanceId:         truncate(a.GetInstanceId(), maxShort),
		HomeId:             truncate(a.GetHomeId(), maxShort),
		Unheard:            a.GetUnheard(),
		Returns:            a.GetReturns(),
	}
	for _, r := range runtimes {
		bounded.Runtimes = append(bounded.Runtimes, &argosyv1.RuntimeInfo{
			Name:    truncate(r.GetName(), maxShort),
			Version: truncate(r.GetVersion(), maxShort),
			Problem: truncate(r.GetProblem(), maxText),
		})
	}
	return bounded
}

// speakable tells whether an agent may say this of an instance of its own. The
// states that only servers give (AgentDisconnected, NotScheduled) are theirs.
func speakable(s *argosyv1.WorkloadState) bool {
	name := s.GetInstance()
	if name.GetWorkload() == "" || len(name.GetWorkload()) > maxName || name.GetId() == "" || len(name.GetId()) > maxID {
		return false
	}
	switch s.GetExecution().GetState() {
	case argosyv1.State_STATE_UNSPECIFIED, argosyv1.State_STATE_AGENT_DISCONNECTED, argosyv1.State_STATE_NOT_SCHEDULED:
		return false
	}
	return true
}
