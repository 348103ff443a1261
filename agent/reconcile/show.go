package reconcile

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
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
		return pending(argosyv1.Substate_SUBSTATE_PENDING_STARTING_FAILED,
			argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_UNSUPPORTED_RUNTIME, "runtime", s.desired.place.runtime))
	case s.book.file != "" && (s.book.invalid != "" || s.book.attempts > 0):
		return s.restarted(pending(argosyv1.Substate_SUBSTATE_PENDING_STARTING_FAILED, argosyv1.NewReason(
			argosyv1.ReasonCode_REASON_CODE_FILE, "path", s.book.file, "error", cmp.Or(s.book.invalid, s.book.reason))))
	case s.book.invalid != "":
		return pending(argosyv1.Substate_SUBSTATE_PENDING_STARTING_FAILED,
			argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_INVALID_CONFIG, "error", s.book.invalid))
	case starting && o != nil && o.instance.Status == runtime.StatusRunning:
		return s.ofInstance(o.instance)
	case s.book.attempts > 0:
		return s.restarted(pending(argosyv1.Substate_SUBSTATE_PENDING_STARTING, argosyv1.NewReason(
			argosyv1.ReasonCode_REASON_CODE_RETRY, "attempt", strconv.Itoa(s.book.attempts), "error", s.book.reason)))
	case starting:
		return s.restarted(pending(argosyv1.Substate_SUBSTATE_PENDING_STARTING, asked()))
	case !usable:
		return nil
	case s.waits() && len(s.retiring) > 0:
		return nil // it waits for its predecessor first
	case s.waits():
		return pending(argosyv1.Substate_SUBSTATE_PENDING_WAITING_TO_START,
			argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_DEPENDENCIES, "dependencies", describe(s.open)))
	case s.book.left && !s.book.seen:
		return nil
	case o != nil && s.unstarted(o) && (s.vouched || len(s.retiring) > 0):
		return nil // created ahead; it is started once nothing is in its way
	case o != nil:
		return s.ofInstance(o.instance)
	case !s.book.seen:
		return nil
	case s.book.exited:
		return s.restarted(s.ended(s.book.exitCode))
	default:
		return s.restarted((&argosyv1.ExecutionState{
			State: argosyv1.State_STATE_FAILED, Substate: argosyv1.Substate_SUBSTATE_FAILED_LOST,
		}).Explain(argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_LOST)))
	}
}

func asked() *argosyv1.Reason {
	return argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_TRIGGERED)
}

func (s *situation) ofInstance(i runtime.Instance) *argosyv1.ExecutionState {
	var e *argosyv1.ExecutionState
	switch i.Status {
	case runtime.StatusStarting:
		var reason *argosyv1.Reason
		if s.book.called {
			reason = asked()
		}
		e = pending(argosyv1.Substate_SUBSTATE_PENDING_STARTING, reason)
	case runtime.StatusRunning:
		e = &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING, Substate: argosyv1.Substate_SUBSTATE_RUNNING_OK}
	case runtime.StatusStopping:
		e = &argosyv1.ExecutionState{State: argosyv1.State_STATE_STOPPING, Substate: argosyv1.Substate_SUBSTATE_STOPPING}
	case runtime.StatusExited:
		e = s.ended(i.ExitCode)
	default:
		e = (&argosyv1.ExecutionState{
			State: argosyv1.State_STATE_FAILED, Substate: argosyv1.Substate_SUBSTATE_FAILED_UNKNOWN,
		}).Explain(argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_UNKNOWN_STATE, "state", clean(i.Detail)))
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
		e.Substate = argosyv1.Substate_SUBSTATE_STOPPING_DELETE_FAILED
		e.Explain(argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_REMOVAL_FAILED, "error", r.reason))
	}
	if actual != nil {
		identify(e, actual.instance)
	}
	return e
}

// waitingToStop returns the state of an instance that is to be removed once
// others have stopped.
func waitingToStop(r *retiree, actual *observed, active []string) *argosyv1.ExecutionState {
	e := &argosyv1.ExecutionState{
		State:    argosyv1.State_STATE_STOPPING,
		Substate: argosyv1.Substate_SUBSTATE_STOPPING_WAITING_TO_STOP,
		Restarts: r.book.restarts,
	}
	e.Explain(argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_DEPENDENTS, "dependents", strings.Join(active, ", ")))
	return identify(e, actual.instance)
}

func pending(substate argosyv1.Substate, reason *argosyv1.Reason) *argosyv1.ExecutionState {
	e := &argosyv1.ExecutionState{State: argosyv1.State_STATE_PENDING, Substate: substate}
	return e.Explain(reason)
}

// ended returns the state of an instance that has ended, and why it is not
// running again yet when it ends again and again.
func (s *situation) ended(exitCode int32) *argosyv1.ExecutionState {
	code := strconv.Itoa(int(exitCode))
	reason := argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_EXIT, "code", code)
	if s.desired != nil && s.book.pause >= time.Second && s.book.wantsRestart(s.desired.workload.GetRestartPolicy()) {
		reason = argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_CRASH_LOOP,
			"code", code, "restarts", strconv.Itoa(s.book.quick), "wait", s.book.pause.Round(time.Second).String())
	}
	if exitCode == 0 {
		e := &argosyv1.ExecutionState{State: argosyv1.State_STATE_SUCCEEDED, Substate: argosyv1.Substate_SUBSTATE_SUCCEEDED_OK}
		if reason.GetCode() == argosyv1.ReasonCode_REASON_CODE_CRASH_LOOP {
			e.Explain(reason)
		}
		return e
	}
	e := &argosyv1.ExecutionState{
		State: argosyv1.State_STATE_FAILED, Substate: argosyv1.Substate_SUBSTATE_FAILED_EXEC_FAILED, ExitCode: exitCode,
	}
	return e.Explain(reason)
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
