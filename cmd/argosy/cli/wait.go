package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// wait follows the instances that a write changed until each is where it shall
// be. It shows every step on standard error.
type wait struct {
	app      *app
	options  waitOptions
	revision uint64
	// untouched are the workloads that were as asked for already.
	untouched map[string]bool
	// expected are the instances that shall run, by workload.
	expected map[string]expectation
	// leaving are the workloads that shall be gone.
	leaving map[string]bool
	states  map[string]*argosyv1.WorkloadState
	agents  map[string]*argosyv1.AgentStatus
	shown   map[string]string
	failed  map[string]string
	// tries counts the attempts to start a workload that were seen to fail.
	tries map[string]int
}

type expectation struct {
	instance string
	agent    string
	runtime  string
	policy   argosyv1.RestartPolicy
}

func newWait(a *app, response *argosyv1.WriteResponse, options waitOptions) *wait {
	w := &wait{
		app: a, options: options, revision: response.GetHeader().GetRevision(), untouched: map[string]bool{},
		expected: map[string]expectation{}, leaving: map[string]bool{},
		states: map[string]*argosyv1.WorkloadState{}, agents: map[string]*argosyv1.AgentStatus{},
		shown: map[string]string{}, failed: map[string]string{}, tries: map[string]int{},
	}
	for _, change := range response.GetResult().GetChanges() {
		switch change.GetKind() {
		case argosyv1.ChangeKind_CHANGE_KIND_DELETED:
			w.leaving[change.GetName()] = true
		case argosyv1.ChangeKind_CHANGE_KIND_UNCHANGED:
			w.untouched[change.GetName()] = true
		}
	}
	return w
}

func (w *wait) expect(workload *argosyv1.Workload) {
	w.expected[workload.GetName()] = expectation{
		instance: argosyv1.InstanceOf(workload).Key(), agent: workload.GetAgent(),
		runtime: workload.GetRuntime(), policy: workload.GetRestartPolicy(),
	}
}

// run watches until all is well, something failed for good, or time is up.
func (w *wait) run(ctx context.Context, c *client.Client) error {
	bounded, cancelTimeout := context.WithTimeout(ctx, w.options.timeout)
	defer cancelTimeout()
	bounded, end := context.WithCancelCause(bounded)
	defer end(nil)
	steady := &steadiness{after: w.options.steady, reached: func() { end(errSteady) }}
	defer steady.broken()
	names := slices.Sorted(maps.Keys(w.expected))
	names = append(names, slices.Sorted(maps.Keys(w.leaving))...)
	if len(names) > maxWatchedNames {
		// A filter of thousands of names costs more than it saves.
		names = nil
	}
	complete := false
	err := c.Watch(bounded, &argosyv1.WatchRequest{Names: names, OmitDesired: true}, func(message *argosyv1.WatchResponse) error {
		if message.GetSnapshotBegin() {
			complete = false
			clear(w.states)
			clear(w.agents)
		}
		for _, state := range message.GetStates() {
			w.take(state)
		}
		for _, agent := range message.GetAgents() {
			w.agents[agent.GetName()] = agent
		}
		complete = complete || message.GetSnapshotEnd()
		switch {
		case !complete || message.GetHeader().GetRevision() < w.revision || !w.settled():
			steady.broken()
		case w.mayYetFail():
			steady.begun()
		default:
			return client.ErrStop
		}
		return nil
	})
	switch {
	case errors.Is(context.Cause(bounded), errSteady):
	case isCancelled(ctx, err):
		return fmt.Errorf("interrupted while waiting: the change itself is accepted (revision %d)", w.revision)
	case bounded.Err() != nil && err != nil:
		return w.timedOut(w.options.timeout)
	case err != nil:
		return fmt.Errorf("wait for workloads: %w", err)
	}
	return w.verdict(ctx, c)
}

const maxWatchedNames = 500

// errSteady ends a wait in which everything has been as it shall be for long
// enough.
var errSteady = errors.New("steady")

// steadiness is reached when nothing breaks it for a time.
type steadiness struct {
	after   time.Duration
	reached func()
	timer   *time.Timer
}

func (s *steadiness) begun() {
	if s.timer == nil {
		s.timer = time.AfterFunc(s.after, s.reached)
	}
}

func (s *steadiness) broken() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// mayYetFail reports whether something has begun to run that would tell only now
// that it cannot: most of what is wrong with a workload shows in its first
// moments.
func (w *wait) mayYetFail() bool {
	if w.options.steady <= 0 {
		return false
	}
	for name, expected := range w.expected {
		if !w.untouched[name] && w.states[expected.instance].GetExecution().GetState() == argosyv1.State_STATE_RUNNING {
			return true
		}
	}
	return false
}

func (w *wait) take(state *argosyv1.WorkloadState) {
	key := state.GetInstance().Key()
	if state.GetExecution().GetState() == argosyv1.State_STATE_REMOVED {
		delete(w.states, key)
	} else {
		w.states[key] = state
	}
	expected, ok := w.expected[state.GetInstance().GetWorkload()]
	if (ok && expected.instance == key) || w.leaving[state.GetInstance().GetWorkload()] {
		w.show(state)
	}
}

// show prints a state when it is news.
func (w *wait) show(state *argosyv1.WorkloadState) {
	execution := state.GetExecution()
	text := execution.Text()
	if info := oneLine(execution.GetAdditionalInfo()); info != "" && info != triggered {
		text += "  " + info
	}
	name := state.GetInstance().GetWorkload()
	if w.shown[name] == text {
		return
	}
	w.shown[name] = text
	if execution.GetSubstate() == argosyv1.Substate_SUBSTATE_PENDING_STARTING && execution.GetAdditionalInfo() != "" && execution.GetAdditionalInfo() != triggered {
		w.tries[name]++
	}
	fmt.Fprintf(w.app.err, "%s  %s\n", name, text)
}

// triggered is the additional info of every start: it is no news.
const triggered = "Triggered at runtime."

// settled reports whether nothing more is to be waited for.
func (w *wait) settled() bool {
	clear(w.failed)
	settled := true
	for name, expected := range w.expected {
		if !w.instanceSettled(name, expected) {
			settled = false
		}
	}
	for _, state := range w.states {
		name := state.GetInstance().GetWorkload()
		if !w.leaving[name] {
			continue
		}
		if state.GetExecution().GetState() == argosyv1.State_STATE_AGENT_DISCONNECTED {
			w.failed[name] = fmt.Sprintf("agent %s is not connected: it will remove the workload when it is back", state.GetInstance().GetAgent())
			continue
		}
		settled = false
	}
	return settled
}

// A workload that ends again and again, or cannot be started, counts as failed
// after so many restarts or attempts, although its agent goes on trying.
const (
	givenUpAfter      = 3
	givenUpAfterTries = 5
)

func (w *wait) instanceSettled(name string, expected expectation) bool {
	if expected.agent == "" {
		return true
	}
	state, ok := w.states[expected.instance]
	if !ok {
		return false
	}
	execution := state.GetExecution()
	switch execution.GetState() {
	case argosyv1.State_STATE_RUNNING:
		return true
	case argosyv1.State_STATE_SUCCEEDED:
		return true
	case argosyv1.State_STATE_FAILED:
		if expected.policy == argosyv1.RestartPolicy_RESTART_POLICY_NEVER || execution.GetRestarts() >= givenUpAfter {
			w.failed[name] = strings.TrimSpace(execution.Text() + " " + oneLine(execution.GetAdditionalInfo()))
			return true
		}
	case argosyv1.State_STATE_AGENT_DISCONNECTED:
		w.failed[name] = fmt.Sprintf("agent %s is not connected: the workload will follow when it is back", expected.agent)
		return true
	case argosyv1.State_STATE_PENDING:
		switch execution.GetSubstate() {
		case argosyv1.Substate_SUBSTATE_PENDING_STARTING_FAILED:
			w.failed[name] = execution.Text() + " " + oneLine(execution.GetAdditionalInfo()) + w.missingRuntime(expected)
			return true
		case argosyv1.Substate_SUBSTATE_PENDING_STARTING:
			if w.tries[name] >= givenUpAfterTries {
				w.failed[name] = execution.Text() + " " + oneLine(execution.GetAdditionalInfo()) + "; the agent goes on trying"
				return true
			}
		case argosyv1.Substate_SUBSTATE_PENDING_INITIAL:
			if agent, known := w.agents[expected.agent]; !known || !agent.GetConnected() {
				w.failed[name] = fmt.Sprintf("agent %s is not connected: the workload will start when it is%s", expected.agent, w.otherAgents())
				return true
			}
		}
	}
	return false
}

// missingRuntime says what the agent has instead of a runtime that it has not.
func (w *wait) missingRuntime(expected expectation) string {
	var names []string
	for _, offered := range w.agents[expected.agent].GetRuntimes() {
		if offered.GetName() == expected.runtime {
			return ""
		}
		names = append(names, offered.GetName())
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(": agent %s does not offer runtime '%s', it offers %s", expected.agent, expected.runtime, strings.Join(names, ", "))
}

// runtimeProblem says what is the matter with the runtime of a workload.
func (w *wait) runtimeProblem(expected expectation) string {
	for _, offered := range w.agents[expected.agent].GetRuntimes() {
		if offered.GetName() == expected.runtime && offered.GetProblem() != "" {
			return fmt.Sprintf(": runtime '%s' of agent %s does not work: %s", expected.runtime, expected.agent, oneLine(offered.GetProblem()))
		}
	}
	return ""
}

// otherAgents names the agents that are there, for who mistyped one.
func (w *wait) otherAgents() string {
	var names []string
	for name, agent := range w.agents {
		if agent.GetConnected() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return "; no agent is connected"
	case len(names) > 10:
		return fmt.Sprintf("; connected are %s and %d more", strings.Join(names[:10], ", "), len(names)-10)
	}
	return "; connected are " + strings.Join(names, ", ")
}

// verdict tells of what failed, with the last lines it printed.
func (w *wait) verdict(ctx context.Context, c *client.Client) error {
	if len(w.failed) == 0 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(w.failed)) {
		fmt.Fprintf(w.app.err, "%s failed: %s\n", name, w.failed[name])
		if w.leaving[name] {
			continue
		}
		for _, line := range lastLines(ctx, c, name, 5) {
			fmt.Fprintf(w.app.err, "    %s\n", line)
		}
	}
	return fmt.Errorf("%d of %s failed", len(w.failed), plural(len(w.expected)+len(w.leaving), "workload"))
}

func (w *wait) timedOut(timeout time.Duration) error {
	var open []string
	for _, name := range slices.Sorted(maps.Keys(w.expected)) {
		if !w.instanceSettled(name, w.expected[name]) {
			open = append(open, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.leaving)) {
		if slices.ContainsFunc(slices.Collect(maps.Values(w.states)), func(s *argosyv1.WorkloadState) bool {
			return s.GetInstance().GetWorkload() == name
		}) {
			open = append(open, name)
		}
	}
	if len(open) == 0 {
		return fmt.Errorf("%w: everything runs, but has not run for %v within %v; the change itself is accepted (revision %d)", errTimedOut, w.options.steady, timeout, w.revision)
	}
	for _, name := range open[:min(len(open), 10)] {
		fmt.Fprintf(w.app.err, "%s is still %s%s\n", name, cmp.Or(w.shown[name], "unknown"), w.runtimeProblem(w.expected[name]))
	}
	return fmt.Errorf("%w: %s not there after %v; the change itself is accepted (revision %d)", errTimedOut, plural(len(open), "workload"), timeout, w.revision)
}

// oneLine puts a text on one line.
func oneLine(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", ", ")
}
