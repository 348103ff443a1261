package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// getOptions are shared by the kinds of get.
type getOptions struct {
	output string
	stale  bool
	watch  bool
	agent  string
	state  string
}

func (o *getOptions) consistency() argosyv1.Consistency {
	if o.stale {
		return argosyv1.Consistency_CONSISTENCY_STALE
	}
	return argosyv1.Consistency_CONSISTENCY_LINEARIZABLE
}

func (o *getOptions) check(formats ...string) error {
	if !slices.Contains(formats, o.output) {
		return usagef("output format '%s' is not known: use one of %s", o.output, strings.Join(formats, ", "))
	}
	return nil
}

func (a *app) getCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get workloads|configs|agents|servers|state|events",
		Short: "Show what there is",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("say what to get: workloads, configs, agents, servers, state or events")
		},
	}
	cmd.AddCommand(a.getWorkloadsCommand(), a.getConfigsCommand(), a.getAgentsCommand(), a.getServersCommand(), a.getStateCommand(), a.getEventsCommand())
	return cmd
}

func (a *app) getWorkloadsCommand() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:               "workloads [NAME...]",
		Aliases:           []string{"workload", "wl"},
		Short:             "Show workloads and what they do",
		ValidArgsFunction: a.completeWorkloads,
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := cmp.Or(o.check("table", "wide", "json", "yaml"), checkState(o.state)); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				if o.watch {
					return a.watchWorkloads(cmd.Context(), c, names, o)
				}
				state, err := c.GetState(cmd.Context(), &argosyv1.GetStateRequest{
					Consistency: o.consistency(), Names: names, Agent: o.agent, OmitConfigs: true, OmitAgents: true,
				})
				if err != nil {
					return err
				}
				a.tellStaleness(state.GetHeader())
				if err := a.printWorkloads(state, o); err != nil {
					return err
				}
				return missing(names, state)
			})
		},
	}
	o.addOutput(cmd, "table, wide, json or yaml")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "go on showing changes until interrupted")
	cmd.Flags().StringVarP(&o.agent, "agent", "a", "", "only those of this agent")
	cmd.Flags().StringVarP(&o.state, "state", "s", "", "only those in this state, such as 'Running(Ok)' or 'Failed'")
	_ = cmd.RegisterFlagCompletionFunc("agent", a.completeAgents)
	return cmd
}

// checkState refuses a state that no workload can be in: to show none would look
// like an answer.
func checkState(state string) error {
	if state == "" {
		return nil
	}
	var names []string
	for s := range argosyv1.State_name {
		if s == int32(argosyv1.State_STATE_UNSPECIFIED) {
			continue
		}
		names = append(names, argosyv1.State(s).Name())
		for sub := range argosyv1.Substate_name {
			text := (&argosyv1.ExecutionState{State: argosyv1.State(s), Substate: argosyv1.Substate(sub)}).Text()
			if strings.EqualFold(state, text) {
				return nil
			}
		}
	}
	slices.Sort(names)
	return usagef("'%s' is not a state of a workload: use one of %s, or with what comes in parentheses, as in 'Running(Ok)'", state, strings.Join(names, ", "))
}

// missing is an error when a workload that was asked for by name is not there.
func missing(names []string, state *argosyv1.GetStateResponse) error {
	there := map[string]bool{}
	for _, w := range state.GetWorkloads() {
		there[w.GetName()] = true
	}
	for _, s := range state.GetStates() {
		there[s.GetInstance().GetWorkload()] = true
	}
	var absent []string
	for _, name := range names {
		if !there[name] {
			absent = append(absent, strconv.Quote(name))
		}
	}
	if len(absent) == 0 {
		return nil
	}
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "get workloads: there is no workload %s", strings.Join(absent, ", "))
}

func (o *getOptions) addOutput(cmd *cobra.Command, formats string) {
	cmd.Flags().StringVarP(&o.output, "output", "o", "table", "output format: "+formats)
	cmd.Flags().BoolVar(&o.stale, "stale", false, "take what the server has, without asking the leader")
}

func (a *app) withClient(do func(*client.Client) error) error {
	c, err := a.options.connect()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return do(c)
}

// tellStaleness says how old a stale answer may be.
func (a *app) tellStaleness(header *argosyv1.ResponseHeader) {
	switch age := header.GetStalenessMs(); {
	case age == 0:
	case age > uint64(math.MaxInt64/time.Millisecond):
		fmt.Fprintf(a.err, "note: nobody knows how old this is (revision %d): no leader has told server %s since it started\n", header.GetRevision(), header.GetServerId())
	default:
		fmt.Fprintf(a.err, "note: this may be up to %v old (revision %d, server %s)\n", time.Duration(age)*time.Millisecond, header.GetRevision(), header.GetServerId())
	}
}

// workloadRow is one line of the list, and one object of its JSON.
type workloadRow struct {
	Workload  string `json:"workload" yaml:"workload"`
	Agent     string `json:"agent" yaml:"agent"`
	Runtime   string `json:"runtime" yaml:"runtime"`
	State     string `json:"state" yaml:"state"`
	Substate  string `json:"subState" yaml:"subState"`
	Info      string `json:"additionalInfo" yaml:"additionalInfo"`
	Instance  string `json:"instanceId" yaml:"instanceId"`
	RuntimeID string `json:"runtimeId,omitempty" yaml:"runtimeId,omitempty"`
	Restarts  uint32 `json:"restarts" yaml:"restarts"`
	Revision  uint64 `json:"revision" yaml:"revision"`
	Started   string `json:"started,omitempty" yaml:"started,omitempty"`
	text      string
}

// workloadRows joins desired and observed state, sorted by name.
func workloadRows(workloads []*argosyv1.Workload, states []*argosyv1.WorkloadState, want string) []workloadRow {
	desired := make(map[string]*argosyv1.Workload, len(workloads))
	for _, w := range workloads {
		desired[w.GetName()] = w
	}
	rows := make([]workloadRow, 0, len(states))
	for _, s := range states {
		execution, instance := s.GetExecution(), s.GetInstance()
		row := workloadRow{
			Workload: instance.GetWorkload(), Agent: instance.GetAgent(), Runtime: desired[instance.GetWorkload()].GetRuntime(),
			State: execution.GetState().Name(), Substate: execution.SubstateName(), Info: execution.GetAdditionalInfo(),
			Instance: instance.GetId(), RuntimeID: execution.GetRuntimeId(), Restarts: execution.GetRestarts(),
			Revision: desired[instance.GetWorkload()].GetRevision(), text: execution.Text(),
		}
		if nanos := execution.GetStartedUnixNanos(); nanos != 0 {
			row.Started = time.Unix(0, nanos).UTC().Format(time.RFC3339)
		}
		if want == "" || strings.EqualFold(want, row.text) || strings.EqualFold(want, row.State) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(x, y workloadRow) int {
		return strings.Compare(x.Workload+"\x00"+x.Agent+"\x00"+x.Instance, y.Workload+"\x00"+y.Agent+"\x00"+y.Instance)
	})
	return rows
}

func (a *app) printWorkloads(state *argosyv1.GetStateResponse, o getOptions) error {
	rows := workloadRows(state.GetWorkloads(), state.GetStates(), o.state)
	switch o.output {
	case "json", "yaml":
		return a.encode(o.output, rows)
	case "wide":
		t := table{header: []string{"WORKLOAD NAME", "AGENT", "RUNTIME", "EXECUTION STATE", "RESTARTS", "STARTED", "INSTANCE", "RUNTIME ID", "REVISION", "ADDITIONAL INFO"}}
		for _, r := range rows {
			t.add(r.Workload, r.Agent, r.Runtime, r.text, strconv.Itoa(int(r.Restarts)), r.Started, short(r.Instance), short(r.RuntimeID), strconv.FormatUint(r.Revision, 10), oneLine(r.Info))
		}
		t.print(a.out)
	default:
		t := table{header: []string{"WORKLOAD NAME", "AGENT", "RUNTIME", "EXECUTION STATE", "ADDITIONAL INFO"}}
		for _, r := range rows {
			t.add(r.Workload, r.Agent, r.Runtime, r.text, oneLine(r.Info))
		}
		t.print(a.out)
	}
	return nil
}

func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}

// watchWorkloads prints the list and then a line for each change.
func (a *app) watchWorkloads(ctx context.Context, c *client.Client, names []string, o getOptions) error {
	desired := map[string]*argosyv1.Workload{}
	err := c.Watch(ctx, &argosyv1.WatchRequest{Names: names, OmitConfigs: true, OmitAgents: true}, func(message *argosyv1.WatchResponse) error {
		if message.GetSnapshotBegin() {
			clear(desired)
		}
		for _, w := range message.GetWorkloads() {
			desired[w.GetName()] = w
		}
		for _, name := range message.GetDeletedWorkloads() {
			delete(desired, name)
		}
		for _, s := range message.GetStates() {
			if o.agent != "" && s.GetInstance().GetAgent() != o.agent {
				continue
			}
			list := []*argosyv1.Workload{}
			if w, ok := desired[s.GetInstance().GetWorkload()]; ok {
				list = append(list, w)
			}
			rows := workloadRows(list, []*argosyv1.WorkloadState{s}, o.state)
			for _, r := range rows {
				if o.output == "json" || o.output == "yaml" {
					if err := a.encodeLine(o.output, r); err != nil {
						return err
					}
					continue
				}
				fmt.Fprintf(a.out, "%s   %s   %s   %s   %s\n", time.Now().Format("15:04:05.000"), r.Workload, r.Agent, r.text, oneLine(r.Info))
			}
		}
		return nil
	})
	if isCancelled(ctx, err) {
		return nil
	}
	return err
}

func (a *app) encode(format string, value any) error {
	var text []byte
	var err error
	if format == "json" {
		text, err = json.MarshalIndent(value, "", "  ")
		text = append(text, '\n')
	} else {
		text, err = yaml.Marshal(value)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", format, err)
	}
	_, err = a.out.Write(text)
	return err
}

// encodeLine writes one object of a stream: a line of JSON, or a YAML document.
func (a *app) encodeLine(format string, value any) error {
	if format == "yaml" {
		fmt.Fprintln(a.out, "---")
		return a.encode(format, value)
	}
	return json.NewEncoder(a.out).Encode(value)
}
