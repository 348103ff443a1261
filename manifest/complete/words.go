package complete

import (
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/proto/ankaios"
)

// execution is the state of an instance in words.
type execution struct{ state, subState string }

// executions are the states of the wire by their words.
var executions = map[execution]*ankaios.ExecutionState{
	{"AgentDisconnected", "AgentDisconnected"}: {ExecutionStateEnum: &ankaios.ExecutionState_AgentDisconnected{AgentDisconnected: ankaios.AgentDisconnected_AGENT_DISCONNECTED}},
	{"Pending", "Initial"}:                     pending(ankaios.Pending_PENDING_INITIAL),
	{"Pending", "WaitingToStart"}:              pending(ankaios.Pending_PENDING_WAITING_TO_START),
	{"Pending", "Starting"}:                    pending(ankaios.Pending_PENDING_STARTING),
	{"Pending", "StartingFailed"}:              pending(ankaios.Pending_PENDING_STARTING_FAILED),
	{"Running", "Ok"}:                          {ExecutionStateEnum: &ankaios.ExecutionState_Running{Running: ankaios.Running_RUNNING_OK}},
	{"Stopping", "Stopping"}:                   stopping(ankaios.Stopping_STOPPING),
	{"Stopping", "WaitingToStop"}:              stopping(ankaios.Stopping_STOPPING_WAITING_TO_STOP),
	{"Stopping", "RequestedAtRuntime"}:         stopping(ankaios.Stopping_STOPPING_REQUESTED_AT_RUNTIME),
	{"Stopping", "DeleteFailed"}:               stopping(ankaios.Stopping_STOPPING_DELETE_FAILED),
	{"Succeeded", "Ok"}:                        {ExecutionStateEnum: &ankaios.ExecutionState_Succeeded{Succeeded: ankaios.Succeeded_SUCCEEDED_OK}},
	{"Failed", "ExecFailed"}:                   failed(ankaios.Failed_FAILED_EXEC_FAILED),
	{"Failed", "Unknown"}:                      failed(ankaios.Failed_FAILED_UNKNOWN),
	{"Failed", "Lost"}:                         failed(ankaios.Failed_FAILED_LOST),
	{"NotScheduled", "NotScheduled"}:           {ExecutionStateEnum: &ankaios.ExecutionState_NotScheduled{NotScheduled: ankaios.NotScheduled_NOT_SCHEDULED}},
}

func pending(p ankaios.Pending) *ankaios.ExecutionState {
	return &ankaios.ExecutionState{ExecutionStateEnum: &ankaios.ExecutionState_Pending{Pending: p}}
}

func stopping(s ankaios.Stopping) *ankaios.ExecutionState {
	return &ankaios.ExecutionState{ExecutionStateEnum: &ankaios.ExecutionState_Stopping{Stopping: s}}
}

func failed(f ankaios.Failed) *ankaios.ExecutionState {
	return &ankaios.ExecutionState{ExecutionStateEnum: &ankaios.ExecutionState_Failed{Failed: f}}
}

// operations are the words for what a rule allows.
var operations = map[ankaios.ReadWriteEnum]string{
	ankaios.ReadWriteEnum_RW_NOTHING:    "Nothing",
	ankaios.ReadWriteEnum_RW_READ:       "Read",
	ankaios.ReadWriteEnum_RW_WRITE:      "Write",
	ankaios.ReadWriteEnum_RW_READ_WRITE: "ReadWrite",
}

// keyOf returns what a word stands for, the zero value for one that stands for
// nothing.
func keyOf[K comparable](words map[K]string, word string) (key K) {
	for k, w := range words {
		if w == word {
			return k
		}
	}
	return key
}

// sameExecution tells whether two messages have the same state; what else is in
// them does not count.
func sameExecution(a, b *ankaios.ExecutionState) bool {
	return proto.Equal(&ankaios.ExecutionState{ExecutionStateEnum: a.GetExecutionStateEnum()}, &ankaios.ExecutionState{ExecutionStateEnum: b.GetExecutionStateEnum()})
}
