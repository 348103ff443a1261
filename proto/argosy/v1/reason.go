package argosyv1

import "strings"

// Abilities is what an agent of this version says in its hello that it can do
// beyond the first release (AgentHello.abilities).
const Abilities uint32 = AbilityNeighbours

// What an agent can be able to do; each includes those before it.
const (
	// AbilityNeighbours is dependencies, files, control interfaces and reasons.
	AbilityNeighbours uint32 = 1
)

// reasonTexts are templates: a name in braces stands for that argument. Where
// programs of the reference look at a text, it is the reference's.
var reasonTexts = map[ReasonCode]string{
	ReasonCode_REASON_CODE_TRIGGERED:           "Triggered at runtime.",
	ReasonCode_REASON_CODE_RETRY:               "Retry {attempt}: {error}",
	ReasonCode_REASON_CODE_UNSUPPORTED_RUNTIME: "Unsupported Runtime",
	ReasonCode_REASON_CODE_INVALID_CONFIG:      "{error}",
	ReasonCode_REASON_CODE_FILE:                "Failed to create workload file: '{path}': {error}",
	ReasonCode_REASON_CODE_DEPENDENCIES:        "Waits for {dependencies}",
	ReasonCode_REASON_CODE_DEPENDENTS:          "Waits until {dependents} has stopped",
	ReasonCode_REASON_CODE_EXIT:                "Exit code: '{code}'",
	ReasonCode_REASON_CODE_LOST:                "The runtime does not have it any more",
	ReasonCode_REASON_CODE_CRASH_LOOP:          "Exit code: '{code}'; ended {restarts} times, is started again in {wait}",
	ReasonCode_REASON_CODE_REMOVAL_FAILED:      "{error}",
	ReasonCode_REASON_CODE_RUNTIME_UNAVAILABLE: "{runtime} does not answer: {error}",
	ReasonCode_REASON_CODE_MOVING:              "Waits until agent {agent} has reported its instance removed.",
	ReasonCode_REASON_CODE_AGENT_UNKNOWN:       "No agent '{agent}' has been heard of",
	ReasonCode_REASON_CODE_AGENT_LOST:          "Last known: {state}",
	ReasonCode_REASON_CODE_AGENT_TOO_OLD:       "Agent '{agent}' is too old: it does not know {needs}",
	ReasonCode_REASON_CODE_IMAGE:               "Retry {attempt}: image '{image}': {error}",
	ReasonCode_REASON_CODE_UNKNOWN_STATE:       "{state}",
}

// NewReason makes a reason; pairs are names of arguments and their values in turn.
func NewReason(code ReasonCode, pairs ...string) *Reason {
	r := &Reason{Code: code}
	if len(pairs) > 1 {
		r.Arguments = make(map[string]string, len(pairs)/2)
	}
	for at := 0; at+1 < len(pairs); at += 2 {
		r.Arguments[pairs[at]] = pairs[at+1]
	}
	return r
}

// Text returns the reason for people; empty for none and for one that this
// program does not know.
func (r *Reason) Text() string {
	text := reasonTexts[r.GetCode()]
	if !strings.Contains(text, "{") {
		return text
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		b.WriteString(r.GetArguments()[name])
		text = after
	}
}

// Explain gives a state its reason, and the text of that.
func (e *ExecutionState) Explain(r *Reason) *ExecutionState {
	e.Reason, e.AdditionalInfo = r, r.Text()
	return e
}
