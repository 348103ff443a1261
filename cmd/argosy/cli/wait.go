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
	// expected are the instances that shall run, by workload.
	expected map[string]*expectation
	// leaving are the workloads of which nothing shall be left on an agent, or on
	// any when none is named.
	leaving map[string]string
	// desired are the workloads that there are, by name.
	desired map[string]*argosyv1.Workload
	states  map[string]*argosyv1.WorkloadState
	agents  map[string]*argosyv1.AgentStatus
	shown   map[string]string
	failed  map[string]string
	// tries counts the attempts to start a workload that were seen to fail.
	tries map[string]int
}

// expectation is what the write made of one workload, as it is rendered.
type expectation struct {
	instance string
	agent    string
	// untouched was as asked for already.
	untouched bool
	// anew is started anew under the id that it had: the first state that is seen
	// of it, before, may be from before that.
	anew   bool
	before *argosyv1.ExecutionState
}

func newWait(a *app, response *argosyv1.WriteResponse, options waitOptions) *wait {
	w := &wait{
		app: a, options: options, revision: response.GetHeader().GetRevision(),
		expected: map[string]*expectation{}, leaving: map[string]string{}, desired: map[string]*argosyv1.Workload{},
		states: map[string]*argosyv1.WorkloadState{}, agents: map[string]*argosyv1.AgentStatus{},
		shown: map[string]string{}, failed: map[string]string{}, tries: map[string]int{},
	}
	result := response.GetResult()
	for _, change := range slices.Concat(result.GetChanges(), result.GetRendered()) {
		name, agent := change.GetName(), change.GetAgent()
		switch change.GetKind() {
		case argosyv1.ChangeKind_CHANGE_KIND_MISSING:
			continue
		case argosyv1.ChangeKind_CHANGE_KIND_DELETED:
			w.leaving[name] = ""
			continue
		}
		instance := &argosyv1.InstanceName{Workload: name, Agent: agent, Id: change.GetInstanceId()}
		w.expected[name] = &expectation{
			instance: instance.Key(), agent: agent, untouched: change.GetEffect() == argosyv1.Effect_EFFECT_NONE,
			anew: change.GetEffect() == argosyv1.Effect_EFFECT_RESTART && change.GetPreviousAgent() == "" && change.GetPreviousInstanceId() == "",
		}
		if change.GetEffect() == argosyv1.Effect_EFFECT_STOP {
			w.leaving[name] = change.GetPreviousAgent()
		}
	}
	return w
}

// run watches until all is well, something failed for good, or time is up.
func (w *wait) run(ctx context.Context, c *client.Client) error {
	if w.count() == 0 {
		return nil
	}
	bounded, cancelTimeout := context.WithTimeout(ctx, w.options.timeout)
	defer cancelTimeout()
	bounded, end := context.WithCancelCause(bounded)
	defer end(nil)
	steady := &steadiness{after: w.patience(), reached: func() { end(errSteady) }}
	defer steady.broken()
	complete := false
	err := c.Watch(bounded, &argosyv1.WatchRequest{Names: w.names(), OmitConfigs: true}, func(message *argosyv1.WatchResponse) error {
		if message.GetSnapshotBegin() {
			complete = false
			clear(w.desired)
			clear(w.states)
			clear(w.agents)
		}
		w.take(message)
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
		return w.timedOut(ctx, c)
	case err != nil:
		return fmt.Errorf("wait for workloads: %w; the change itself is accepted (revision %d)", err, w.revision)
	}
	return w.verdict(ctx, c)
}

// count is how many workloads are waited for.
func (w *wait) count() int {
	count := len(w.expected)
	for name := range w.leaving {
		if w.expected[name] == nil {
			count++
		}
	}
	return count
}

// names are those to watch, none when it is cheaper to watch all: a filter of
// thousands of names costs more than it saves.
func (w *wait) names() []string {
	if w.count() > maxWatchedNames {
		return nil
	}
	return slices.Concat(slices.Collect(maps.Keys(w.expected)), slices.Collect(maps.Keys(w.leaving)))
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
	for _, expected := range w.expected {
		if expected.anew && !w.restarted(expected) {
			return true
		}
		if w.options.steady > 0 && !expected.untouched && w.states[expected.instance].GetExecution().GetState() == argosyv1.State_STATE_RUNNING {
			return true
		}
	}
	return false
}

// restarted tells whether what is known of an instance that is started anew is from
// after that for sure.
func (w *wait) restarted(expected *expectation) bool {
	if w.agents[expected.agent].GetConvergedRevision() >= w.revision {
		return true
	}
	now := w.states[expected.instance].GetExecution()
	return now.GetStartedUnixNanos() != expected.before.GetStartedUnixNanos() || now.GetSubstate() != expected.before.GetSubstate()
}

// patience is for how long all must be as it shall be. What is started anew has a
// moment to be seen leaving even when nobody wants to wait.
func (w *wait) patience() time.Duration {
	for _, expected := range w.expected {
		if expected.anew {
			return max(w.options.steady, leastPatience)
		}
	}
	return w.options.steady
}

const leastPatience = 500 * time.Millisecond

// take takes in what a watch tells.
func (w *wait) take(message *argosyv1.WatchResponse) {
	for _, workload := range message.GetWorkloads() {
		w.desired[workload.GetName()] = workload
	}
	for _, name := range message.GetDeletedWorkloads() {
		delete(w.desired, name)
	}
	for _, agent := range message.GetAgents() {
		w.agents[agent.GetName()] = agent
	}
	for _, state := range message.GetStates() {
		w.takeState(state)
	}
}

func (w *wait) takeState(state *argosyv1.WorkloadState) {
	key := state.GetInstance().Key()
	if state.GetExecution().GetState() == argosyv1.State_STATE_REMOVED {
		delete(w.states, key)
	} else {
		w.states[key] = state
	}
	expected := w.expected[state.GetInstance().GetWorkload()]
	if expected != nil && expected.instance == key && expected.before == nil {
		expected.before = state.GetExecution()
	}
	if (expected != nil && expected.instance == key) || w.leaves(state.GetInstance()) {
		w.show(state)
	}
}

// leaves tells whether an instance shall be gone.
func (w *wait) leaves(instance *argosyv1.InstanceName) bool {
	agent, ok := w.leaving[instance.GetWorkload()]
	return ok && instance.GetAgent() != "" && (agent == "" || agent == instance.GetAgent())
}

// show prints a state when it is news.
func (w *wait) show(state *argosyv1.WorkloadState) {
	execution := state.GetExecution()
	text := stateText(execution)
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

// settled reports whether nothing more is to be waited for, and notes what has
// failed when that is so. It is asked when the write itself has been seen, and with
// each message after it: of thousands of workloads it looks for one that is to be
// waited for, and not at all of them.
func (w *wait) settled() bool {
	clear(w.failed)
	for name, expected := range w.expected {
		if !w.superseded(name, expected) && !w.instanceSettled(name, expected) {
			return false
		}
	}
	for _, state := range w.states {
		name := state.GetInstance().GetWorkload()
		if !w.leaves(state.GetInstance()) || w.desired[name].GetRevision() > w.revision {
			continue
		}
		if state.GetExecution().GetState() == argosyv1.State_STATE_AGENT_DISCONNECTED {
			w.failed[name] = fmt.Sprintf("agent %s is not connected: it will remove the workload when it is back", state.GetInstance().GetAgent())
			continue
		}
		return false
	}
	return true
}

// superseded reports whether somebody else has asked for something else of the
// workload since, and says so.
func (w *wait) superseded(name string, expected *expectation) bool {
	workload, exists := w.desired[name]
	switch {
	case !exists:
		w.failed[name] = "somebody has deleted it meanwhile"
	case workload.GetRevision() > w.revision && argosyv1.InstanceOf(workload).Key() != expected.instance:
		w.failed[name] = fmt.Sprintf("somebody has changed it meanwhile (revision %d): see argosy describe workload %s", workload.GetRevision(), name)
	default:
		return false
	}
	return true
}

// A workload that ends again and again, or cannot be started, counts as failed
// after so many restarts or attempts, although its agent goes on trying.
const (
	givenUpAfter      = 3
	givenUpAfterTries = 5
)

func (w *wait) instanceSettled(name string, expected *expectation) bool {
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
		if w.desired[name].GetRestartPolicy() == argosyv1.RestartPolicy_RESTART_POLICY_NEVER || execution.GetRestarts() >= givenUpAfter {
			w.failed[name] = strings.TrimSpace(execution.Text() + " " + oneLine(execution.GetAdditionalInfo()))
			return true
		}
	case argosyv1.State_STATE_AGENT_DISCONNECTED:
		w.failed[name] = fmt.Sprintf("agent %s is not connected: the workload will follow when it is back", expected.agent)
		return true
	case argosyv1.State_STATE_PENDING:
		switch execution.GetSubstate() {
		case argosyv1.Substate_SUBSTATE_PENDING_STARTING_FAILED:
			w.failed[name] = execution.Text() + " " + oneLine(execution.GetAdditionalInfo()) + w.missingRuntime(name, expected)
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
func (w *wait) missingRuntime(name string, expected *expectation) string {
	wanted := w.desired[name].GetRuntime()
	var names []string
	for _, offered := range w.agents[expected.agent].GetRuntimes() {
		if offered.GetName() == wanted {
			return ""
		}
		names = append(names, offered.GetName())
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(": agent %s does not offer runtime '%s', it offers %s", expected.agent, wanted, strings.Join(names, ", "))
}

// runtimeProblem says what is the matter with the runtime of a workload.
func (w *wait) runtimeProblem(name string) string {
	expected := w.expected[name]
	if expected == nil {
		return ""
	}
	wanted := w.desired[name].GetRuntime()
	for _, offered := range w.agents[expected.agent].GetRuntimes() {
		if offered.GetName() == wanted && offered.GetProblem() != "" {
			return fmt.Sprintf(": runtime '%s' of agent %s does not work: %s", wanted, expected.agent, oneLine(offered.GetProblem()))
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

// verdict is an error when something failed, of which it tells.
func (w *wait) verdict(ctx context.Context, c *client.Client) error {
	if len(w.failed) == 0 {
		return nil
	}
	w.tellFailed(ctx, c)
	return fmt.Errorf("%d of %s failed", len(w.failed), plural(w.count(), "workload"))
}

// tellFailed tells of what failed, with the last lines it printed.
func (w *wait) tellFailed(ctx context.Context, c *client.Client) {
	for _, name := range slices.Sorted(maps.Keys(w.failed)) {
		fmt.Fprintf(w.app.err, "%s failed: %s\n", name, w.failed[name])
		if w.expected[name] == nil {
			continue
		}
		for _, line := range lastLines(ctx, c, name, 5) {
			fmt.Fprintf(w.app.err, "    %s\n", printable(line))
		}
	}
}

func (w *wait) timedOut(ctx context.Context, c *client.Client) error {
	var open, leaving []string
	for _, name := range slices.Sorted(maps.Keys(w.expected)) {
		if w.failed[name] == "" && !w.instanceSettled(name, w.expected[name]) {
			open = append(open, name)
		}
	}
	for _, state := range w.states {
		if w.leaves(state.GetInstance()) {
			leaving = append(leaving, state.GetInstance().GetWorkload())
		}
	}
	slices.Sort(leaving)
	told := open
	for _, name := range slices.Compact(leaving) {
		if _, twice := slices.BinarySearch(told, name); !twice {
			open = append(open, name)
		}
	}
	timeout := w.options.timeout
	if len(open) == 0 {
		return fmt.Errorf("%w: everything runs, but has not run for %v within %v; the change itself is accepted (revision %d)", errTimedOut, w.options.steady, timeout, w.revision)
	}
	w.tellFailed(ctx, c)
	for _, name := range open[:min(len(open), 10)] {
		fmt.Fprintf(w.app.err, "%s is still %s%s\n", name, cmp.Or(w.shown[name], "unknown"), w.runtimeProblem(name))
		for _, d := range w.unmet(ctx, c, name) {
			fmt.Fprintf(w.app.err, "    it waits for %s (%s), which is %s\n", d.name, d.condition, d.present)
		}
	}
	count := fmt.Sprintf("%s not there after %v", plural(len(open), "workload"), timeout)
	if n := len(w.failed); n > 0 {
		count += fmt.Sprintf(", and %d failed", n)
	}
	return fmt.Errorf("%w: %s; the change itself is accepted (revision %d)", errTimedOut, count, w.revision)
}

// unmet tells what a workload that has not been started waits for.
func (w *wait) unmet(ctx context.Context, c *client.Client, name string) []dependency {
	expected := w.expected[name]
	if expected == nil || w.states[expected.instance].GetExecution().GetSubstate() != argosyv1.Substate_SUBSTATE_PENDING_WAITING_TO_START {
		return nil
	}
	needs := w.desired[name].GetDependencies()
	if len(needs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	state, err := c.GetState(ctx, &argosyv1.GetStateRequest{Names: slices.Collect(maps.Keys(needs)), OmitAgents: true, OmitConfigs: true})
	if err != nil {
		// Without it, the state alone has to do.
		return nil
	}
	return slices.DeleteFunc(dependencies(needs, state), func(d dependency) bool { return d.holds })
}
