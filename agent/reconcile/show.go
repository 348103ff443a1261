package reconcile

import (
	"fmt"
	"strings"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Texts that users of the reference know.
const (
	textTriggered   = "Triggered at runtime."
	textUnsupported = "Unsupported Runtime"
)

// maxInfo bounds the text of a state: it travels with every list of states.
const maxInfo = 1024

// show returns the state of the desired instance as users shall see it, or nil
// when there is nothing new to tell. starting says that a start is in flight.
func show(s situation, starting bool) *argosyv1.ExecutionState {
	usable, offered := s.usable[s.desired.place.runtime]
	o := find(s.actual, s.desired.place)
	switch {
	case !offered:
		return pending(argosyv1.Substate_SUBSTATE_PENDING_STARTING_FAILED, textUnsupported)
	case s.book.invalid != "":
		return pending(argosyv1.Substate_SUBSTATE_PENDING_STARTING_FAILED, s.book.invalid)
	case starting && o != nil && o.instance.Status == runtime.StatusRunning:
		return s.ofInstance(o.instance)
	case s.book.attempts > 0:
		return s.restarted(pending(argosyv1.Substate_SUBSTATE_PENDING_STARTING,
			fmt.Sprintf("Retry %d: %s", s.book.attempts, s.book.reason)))
	case starting:
		return s.restarted(pending(argosyv1.Substate_SUBSTATE_PENDING_STARTING, textTriggered))
	case !usable:
		return nil
	case o != nil:
		return s.ofInstance(o.instance)
	case !s.book.seen:
		return nil
	case s.book.exited:
		return s.restarted(ended(s.book.exitCode))
	default:
		return s.restarted(&argosyv1.ExecutionState{
			State: argosyv1.State_STATE_FAILED, Substate: argosyv1.Substate_SUBSTATE_FAILED_LOST,
		})
	}
}

func (s *situation) ofInstance(i runtime.Instance) *argosyv1.ExecutionState {
	var e *argosyv1.ExecutionState
	switch i.Status {
	case runtime.StatusStarting:
		info := ""
		if s.book.called {
			info = textTriggered
		}
		e = pending(argosyv1.Substate_SUBSTATE_PENDING_STARTING, info)
	case runtime.StatusRunning:
		e = &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING, Substate: argosyv1.Substate_SUBSTATE_RUNNING_OK}
	case runtime.StatusStopping:
		e = &argosyv1.ExecutionState{State: argosyv1.State_STATE_STOPPING, Substate: argosyv1.Substate_SUBSTATE_STOPPING}
	case runtime.StatusExited:
		e = ended(i.ExitCode)
	default:
		e = &argosyv1.ExecutionState{
			State: argosyv1.State_STATE_FAILED, Substate: argosyv1.Substate_SUBSTATE_FAILED_UNKNOWN, AdditionalInfo: clean(i.Detail),
		}
	}
	return s.restarted(identify(e, i))
}

func (s *situation) restarted(e *argosyv1.ExecutionState) *argosyv1.ExecutionState {
	e.Restarts = s.book.restarts
	return e
}

// stopping returns the state of an instance that is being removed.
func stopping(r *retiree, actual *observed) *argosyv1.ExecutionState {
	e := &argosyv1.ExecutionState{
		State:    argosyv1.State_STATE_STOPPING,
		Substate: argosyv1.Substate_SUBSTATE_STOPPING_REQUESTED_AT_RUNTIME,
		Restarts: r.book.restarts,
	}
	if r.failures > 0 {
		e.Substate, e.AdditionalInfo = argosyv1.Substate_SUBSTATE_STOPPING_DELETE_FAILED, r.reason
	}
	if actual != nil {
		identify(e, actual.instance)
	}
	return e
}

func pending(substate argosyv1.Substate, info string) *argosyv1.ExecutionState {
	return &argosyv1.ExecutionState{State: argosyv1.State_STATE_PENDING, Substate: substate, AdditionalInfo: info}
}

func ended(exitCode int32) *argosyv1.ExecutionState {
	if exitCode == 0 {
		return &argosyv1.ExecutionState{State: argosyv1.State_STATE_SUCCEEDED, Substate: argosyv1.Substate_SUBSTATE_SUCCEEDED_OK}
	}
	return &argosyv1.ExecutionState{
		State: argosyv1.State_STATE_FAILED, Substate: argosyv1.Substate_SUBSTATE_FAILED_EXEC_FAILED,
		AdditionalInfo: fmt.Sprintf("Exit code: '%d'", exitCode), ExitCode: exitCode,
	}
}

func identify(e *argosyv1.ExecutionState, i runtime.Instance) *argosyv1.ExecutionState {
	e.RuntimeId = clean(i.RuntimeID)
	if !i.StartedAt.IsZero() {
		e.StartedUnixNanos = i.StartedAt.UnixNano()
	}
	return e
}

// clean makes text of a runtime fit to travel: protobuf refuses what is not
// UTF-8, and with it the whole report.
func clean(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > maxInfo {
		text = text[:maxInfo] + "..."
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
