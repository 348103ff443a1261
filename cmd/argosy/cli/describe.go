package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/manifest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func (a *app) describeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe workload NAME",
		Short: "Show all there is to know of a workload",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return usagef("say what to describe: workload NAME")
		},
	}
	cmd.AddCommand(a.describeWorkloadCommand())
	return cmd
}

func (a *app) describeWorkloadCommand() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:     "workload NAME...",
		Aliases: []string{"workloads", "wl"},
		Short:   "Show what a workload shall be and is",
		Long: `Describe shows what a workload shall be, also as its templates are rendered; its
instances with their states and the reasons for them; what it depends on and what
depends on it, and how these are now; and whether its agent is connected.`,
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeWorkloads,
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.withClient(func(c *client.Client) error {
				// All of it, since whoever depends on it may be anywhere.
				state, err := c.GetState(cmd.Context(), &argosyv1.GetStateRequest{Consistency: o.consistency(), OmitConfigs: true})
				if err != nil {
					return err
				}
				a.tellStaleness(state.GetHeader())
				for i, name := range names {
					if i > 0 {
						fmt.Fprintln(a.out)
					}
					if err := describe(a.out, name, state); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&o.stale, "stale", false, "take what the server has, without asking the leader")
	return cmd
}

// describe writes what a state tells of a workload.
func describe(out io.Writer, name string, state *argosyv1.GetStateResponse) error {
	var workload *argosyv1.Workload
	for _, w := range state.GetWorkloads() {
		if w.GetName() == name {
			workload = w
		}
	}
	states := statesOf(name, state)
	if workload == nil && len(states) == 0 {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "describe workload: there is no workload %q", name)
	}
	line := func(label, format string, args ...any) {
		fmt.Fprintf(out, "%-17s %s\n", label+":", printable(fmt.Sprintf(format, args...)))
	}
	line("Name", "%s", name)
	if workload == nil {
		line("Desired", "no: it is deleted, and what is left of it is being removed")
	} else {
		describeDesired(out, line, workload, state)
	}
	fmt.Fprintln(out, "Instances:")
	if len(states) == 0 {
		fmt.Fprintln(out, "  none")
	}
	for _, s := range states {
		describeInstance(out, s)
	}
	describeNeighbours(out, name, workload, state)
	return nil
}

func statesOf(name string, state *argosyv1.GetStateResponse) []*argosyv1.WorkloadState {
	var states []*argosyv1.WorkloadState
	for _, s := range state.GetStates() {
		if s.GetInstance().GetWorkload() == name {
			states = append(states, s)
		}
	}
	return states
}

func describeDesired(out io.Writer, line func(label, format string, args ...any), w *argosyv1.Workload, state *argosyv1.GetStateResponse) {
	effective := w.Effective()
	line("Agent", "%s", agentText(effective.GetAgent(), state))
	line("Runtime", "%s", w.GetRuntime()+runtimeText(effective, state))
	line("Restart policy", "%s", manifest.RestartPolicyText(w.GetRestartPolicy()))
	line("Revision", "%d, created at %d", w.GetRevision(), w.GetCreatedRevision())
	if len(w.GetTags()) > 0 {
		line("Tags", "%s", pairs(w.GetTags()))
	}
	if len(w.GetConfigs()) > 0 {
		line("Configs", "%s", pairs(w.GetConfigs()))
	}
	if access := w.GetControlInterfaceAccess(); access != nil {
		line("Control interface", "%s, %s", plural(len(access.GetAllowRules()), "allow rule"), plural(len(access.GetDenyRules()), "deny rule"))
	}
	for _, file := range effective.GetFiles() {
		kind := "text"
		if _, binary := file.GetContent().(*argosyv1.File_BinaryData); binary {
			kind = "base64"
		}
		line("File", "%s (%s, %s)", file.GetMountPoint(), kind, plural(len(file.GetData())+len(file.GetBinaryData()), "byte"))
	}
	block := func(label, text string) {
		fmt.Fprintf(out, "%s:\n  %s\n", label, strings.ReplaceAll(printableLines(strings.TrimSpace(text)), "\n", "\n  "))
	}
	if w.GetRendered() == nil {
		block("Runtime config", w.GetRuntimeConfig())
		return
	}
	block("Runtime config, as written", w.GetRuntimeConfig())
	block("Runtime config, rendered", effective.GetRuntimeConfig())
}

// agentText is an agent and whether it is connected.
func agentText(name string, state *argosyv1.GetStateResponse) string {
	if name == "" {
		return "none: it is not scheduled"
	}
	for _, status := range state.GetAgentStatuses() {
		switch {
		case status.GetName() != name:
		case status.GetConnected() && status.GetConnectedUnixNanos() != 0:
			return name + " (connected since " + moment(status.GetConnectedUnixNanos()) + ")"
		case status.GetConnected():
			return name + " (connected)"
		default:
			return name + " (not connected)"
		}
	}
	for _, agent := range state.GetAgents() {
		if agent.GetName() == name {
			return name + " (not connected)"
		}
	}
	return name + " (not known: no agent of this name has registered)"
}

// runtimeText tells when the agent cannot use the runtime.
func runtimeText(w *argosyv1.Workload, state *argosyv1.GetStateResponse) string {
	for _, status := range state.GetAgentStatuses() {
		if status.GetName() != w.GetAgent() || !status.GetConnected() {
			continue
		}
		for _, offered := range status.GetRuntimes() {
			if offered.GetName() != w.GetRuntime() {
				continue
			}
			if problem := oneLine(offered.GetProblem()); problem != "" {
				return " (does not work: " + problem + ")"
			}
			return ""
		}
		return " (not offered by its agent)"
	}
	return ""
}

func describeInstance(out io.Writer, s *argosyv1.WorkloadState) {
	execution := s.GetExecution()
	fmt.Fprintf(out, "  %s on %s: %s\n", short(s.GetInstance().GetId()), cmp.Or(s.GetInstance().GetAgent(), "no agent"), execution.Text())
	detail := func(label, text string) {
		if text != "" {
			fmt.Fprintf(out, "    %-11s %s\n", label+":", printable(text))
		}
	}
	if info := oneLine(execution.GetAdditionalInfo()); info != triggered {
		detail("reason", info)
	}
	if nanos := execution.GetStartedUnixNanos(); nanos != 0 {
		detail("started", moment(nanos))
	}
	if code, ended := lastExit(execution); ended {
		detail("last exit", code)
	}
	detail("restarts", strconv.FormatUint(uint64(execution.GetRestarts()), 10))
	detail("runtime id", execution.GetRuntimeId())
}

// lastExit returns the exit code of the last run, as far as the state tells it.
func lastExit(execution *argosyv1.ExecutionState) (string, bool) {
	switch execution.GetSubstate() {
	case argosyv1.Substate_SUBSTATE_SUCCEEDED_OK, argosyv1.Substate_SUBSTATE_FAILED_EXEC_FAILED:
		return strconv.Itoa(int(execution.GetExitCode())), true
	}
	code, ok := execution.GetReason().GetArguments()["code"]
	return code, ok
}

// describeNeighbours tells what a workload depends on and what depends on it.
func describeNeighbours(out io.Writer, name string, w *argosyv1.Workload, state *argosyv1.GetStateResponse) {
	if needs := dependencies(w.GetDependencies(), state); len(needs) > 0 {
		fmt.Fprintln(out, "Depends on:")
		for _, d := range needs {
			holds := "does not hold"
			if d.holds {
				holds = "holds"
			}
			fmt.Fprintf(out, "  %s (%s): %s; it is %s\n", d.name, d.condition, holds, d.present)
		}
	}
	head := "Needed by:\n"
	for _, other := range state.GetWorkloads() {
		condition, needed := other.GetDependencies()[name]
		if !needed {
			continue
		}
		var present []string
		for _, s := range statesOf(other.GetName(), state) {
			present = append(present, stateText(s.GetExecution()))
		}
		fmt.Fprintf(out, "%s  %s (%s): %s\n", head, other.GetName(), conditionWord(condition), cmp.Or(strings.Join(present, "; "), "without an instance"))
		head = ""
	}
}

func moment(unixNanos int64) string { return time.Unix(0, unixNanos).UTC().Format(time.RFC3339) }

func pairs(texts map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		all = append(all, key+"="+texts[key])
	}
	return strings.Join(all, ", ")
}
