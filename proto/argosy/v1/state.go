package argosyv1

var stateNames = map[State]string{
	State_STATE_AGENT_DISCONNECTED: "AgentDisconnected",
	State_STATE_PENDING:            "Pending",
	State_STATE_RUNNING:            "Running",
	State_STATE_STOPPING:           "Stopping",
	State_STATE_SUCCEEDED:          "Succeeded",
	State_STATE_FAILED:             "Failed",
	State_STATE_NOT_SCHEDULED:      "NotScheduled",
	State_STATE_REMOVED:            "Removed",
}

var substateNames = map[Substate]string{
	Substate_SUBSTATE_PENDING_INITIAL:               "Initial",
	Substate_SUBSTATE_PENDING_WAITING_TO_START:      "WaitingToStart",
	Substate_SUBSTATE_PENDING_STARTING:              "Starting",
	Substate_SUBSTATE_PENDING_STARTING_FAILED:       "StartingFailed",
	Substate_SUBSTATE_RUNNING_OK:                    "Ok",
	Substate_SUBSTATE_STOPPING:                      "Stopping",
	Substate_SUBSTATE_STOPPING_WAITING_TO_STOP:      "WaitingToStop",
	Substate_SUBSTATE_STOPPING_REQUESTED_AT_RUNTIME: "RequestedAtRuntime",
	Substate_SUBSTATE_STOPPING_DELETE_FAILED:        "DeleteFailed",
	Substate_SUBSTATE_SUCCEEDED_OK:                  "Ok",
	Substate_SUBSTATE_FAILED_EXEC_FAILED:            "ExecFailed",
	Substate_SUBSTATE_FAILED_UNKNOWN:                "Unknown",
	Substate_SUBSTATE_FAILED_LOST:                   "Lost",
}

// Name returns the state's name as users see it, such as "Running".
func (s State) Name() string {
	if name, ok := stateNames[s]; ok {
		return name
	}
	return "Unknown"
}

// SubstateName returns the substate's name as users see it; states without a
// finer division repeat their own name.
func (e *ExecutionState) SubstateName() string {
	if name, ok := substateNames[e.GetSubstate()]; ok {
		return name
	}
	return e.GetState().Name()
}

// Text returns the state as tables show it: State(Substate), or State alone
// where there is no finer division.
func (e *ExecutionState) Text() string {
	name, ok := substateNames[e.GetSubstate()]
	if !ok {
		return e.GetState().Name()
	}
	return e.GetState().Name() + "(" + name + ")"
}
