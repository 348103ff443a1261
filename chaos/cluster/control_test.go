package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/agent/control/controltest"
	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/podmand"
	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/manifest"
	"github.com/argosy-cluster/argosy/proto/ankaios"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// stateRule allows an operation on what masks name.
func stateRule(operation argosyv1.AccessOperation, masks ...string) *argosyv1.AccessRule {
	return &argosyv1.AccessRule{Kind: &argosyv1.AccessRule_State{State: &argosyv1.StateRule{Operation: operation, FilterMasks: masks}}}
}

// mustBuildExample builds the program of the example, static.
func mustBuildExample(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "control-interface")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../../examples/control-interface")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the example: %v\n%s", err, out)
	}
	return path
}

// wantStates waits until workloads are in states, by their texts.
func wantStates(t *testing.T, cl *client.Client, want map[string]string) {
	t.Helper()
	eventually(t, fmt.Sprint(want), func() error {
		states := map[string]string{}
		for _, s := range mustState(t, cl).GetStates() {
			states[s.GetInstance().GetWorkload()] = s.GetExecution().Text() + " " + s.GetExecution().GetAdditionalInfo()
		}
		for name, state := range want {
			if !strings.HasPrefix(states[name], state) {
				return fmt.Errorf("states are %v", states)
			}
		}
		return nil
	})
}

func TestAWorkloadStartsAnotherOne(t *testing.T) {
	c := mustCluster(t, cluster.Config{Agents: 1, TLS: true})
	cl := mustClient(t, c)
	program := mustBuildExample(t)
	rest := fmt.Sprintf("command: %s\nargs: [--rest]\n", program)
	starter := &argosyv1.Workload{
		Name: "starter", Agent: c.Agents[0].Name, Runtime: "process",
		RuntimeConfig: fmt.Sprintf("command: %s\nargs: [--name=started, --agent=%s, --runtime=process, %q]\n", program, c.Agents[0].Name, "--config="+rest),
		ControlInterfaceAccess: &argosyv1.ControlInterfaceAccess{AllowRules: []*argosyv1.AccessRule{
			stateRule(argosyv1.AccessOperation_ACCESS_OPERATION_WRITE, "desiredState.workloads.started"),
			stateRule(argosyv1.AccessOperation_ACCESS_OPERATION_READ, "workloadStates.*.started"),
		}},
	}
	mustApply(t, cl, starter)
	wantStates(t, cl, map[string]string{"starter": "Succeeded(Ok)", "started": "Running(Ok)"})
}

func TestTheExampleOfAControlInterfaceRunsInContainers(t *testing.T) {
	dir, err := os.MkdirTemp("", "podman")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	service, err := podmand.Start(t.Context(), podmand.Config{Dir: dir, StartTimeout: patience})
	if errors.Is(err, podmand.ErrMissing) && os.Getenv("CI") == "" {
		t.Skip("needs podman: ", err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, service.Stop(context.Background())) })
	must(t, service.ImportBinary(t.Context(), mustBuildExample(t), "localhost/argosy-control-interface:1", "/bin/control-interface"))
	c := mustCluster(t, cluster.Config{Agents: 1, TLS: true, Runtimes: []string{"podman"}, PodmanSocket: service.URL()})
	cl := mustClient(t, c)
	text, err := os.ReadFile("../../examples/control-interface.yaml")
	must(t, err)
	parsed, err := manifest.Parse(text, manifest.Options{})
	must(t, err)
	mustApply(t, cl, parsed.Workloads...)
	wantStates(t, cl, map[string]string{"starter": "Succeeded(Ok)", "started": "Running(Ok)"})
}

// asker speaks for a workload through its control interface.
type asker struct {
	*controltest.Client
	// answers are the responses to anything but the subscription.
	answers chan *ankaios.Response
	// added gets what the subscription tells as added, in order.
	added chan string
	ended chan struct{}
}

// mustAsk opens the control interface of a workload, and subscribes to desired
// workloads.
func mustAsk(t *testing.T, dir, workload string) *asker {
	t.Helper()
	a := &asker{answers: make(chan *ankaios.Response, 1), added: make(chan string, 1000), ended: make(chan struct{})}
	eventually(t, "the control interface", func() error {
		folders, _ := filepath.Glob(filepath.Join(dir, "*", "argosy", "*_io", workload+".*", "control_interface"))
		if len(folders) != 1 {
			return fmt.Errorf("folders %v", folders)
		}
		var err error
		a.Client, err = controltest.Dial(folders[0])
		return err
	})
	t.Cleanup(a.Close)
	must(t, a.Hello(t.Context()))
	must(t, a.SendRequest(t.Context(), controltest.Events("events", "desiredState.workloads")))
	first, err := a.Response(t.Context(), "events")
	must(t, err)
	if first.GetCompleteStateResponse() == nil {
		t.Fatalf("the subscription was answered %v", first)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); <-a.ended })
	go func() {
		defer close(a.ended)
		for {
			message, err := a.Receive(ctx)
			if err != nil {
				return
			}
			response := message.GetResponse()
			if response.GetRequestId() != "events" {
				a.answers <- response
				continue
			}
			for _, field := range response.GetCompleteStateResponse().GetAlteredFields().GetAddedFields() {
				a.added <- field
			}
			if failed := response.GetError(); failed != nil {
				a.added <- "the subscription ended: " + failed.GetMessage()
			}
		}
	}()
	return a
}

// mustMake adds a workload that runs nowhere. An answer may fail to come in time;
// then it is asked for again.
func (a *asker) mustMake(t *testing.T, name string) {
	t.Helper()
	agent, runtime, config := "", "process", "command: /bin/true"
	state := &ankaios.CompleteState{DesiredState: &ankaios.State{ApiVersion: "v1", Workloads: &ankaios.WorkloadMap{
		Workloads: map[string]*ankaios.Workload{name: {Agent: &agent, Runtime: &runtime, RuntimeConfig: &config}}}}}
	try := 0
	eventually(t, name+" to be made", func() error {
		try++
		id := fmt.Sprintf("%s-%d", name, try)
		if err := a.SendRequest(t.Context(), controltest.Update(id, state, "desiredState.workloads."+name)); err != nil {
			return err
		}
		answer := <-a.answers
		if answer.GetRequestId() != id || answer.GetUpdateStateSuccess() == nil {
			return fmt.Errorf("answered %v", answer)
		}
		return nil
	})
}

func TestWhatAWorkloadAskedForGoesOnWhileLeadersDie(t *testing.T) {
	config := cluster.Config{Agents: 1, Dir: t.TempDir()}
	c := mustCluster(t, config)
	cl := mustClient(t, c)
	mustApply(t, cl, &argosyv1.Workload{
		Name: "asking", Agent: c.Agents[0].Name, Runtime: "process", RuntimeConfig: "command: /bin/sleep\nargs: ['100000']\n",
		ControlInterfaceAccess: &argosyv1.ControlInterfaceAccess{AllowRules: []*argosyv1.AccessRule{
			stateRule(argosyv1.AccessOperation_ACCESS_OPERATION_READ_WRITE, "desiredState.workloads"),
		}},
	})
	a := mustAsk(t, config.Dir, "asking")
	made := 0
	for range 3 {
		leader := mustLeader(t, c)
		must(t, leader.Kill())
		for range 10 {
			a.mustMake(t, fmt.Sprintf("made-%d", made))
			made++
		}
		must(t, leader.Start())
		must(t, c.WaitReady(t.Context()))
	}
	lost := c.Servers[:2]
	for _, p := range lost {
		must(t, p.Kill())
	}
	must(t, a.SendRequest(t.Context(), controltest.Get("without a quorum", "desiredState.workloads.last")))
	if answer := <-a.answers; !strings.Contains(answer.GetError().GetMessage(), "control side not reachable") {
		t.Errorf("without a quorum: %v", answer)
	}
	for _, p := range lost {
		must(t, p.Start())
	}
	a.mustMake(t, "last")
	told := map[string]int{}
	for last := "desiredState.workloads.last"; told[last] == 0; {
		field := <-a.added
		if strings.HasPrefix(field, "the subscription ended") {
			t.Fatal(field)
		}
		told[field]++
	}
	for i := range made {
		if n := told[fmt.Sprintf("desiredState.workloads.made-%d", i)]; n != 1 {
			t.Errorf("made-%d was told %d times", i, n)
		}
	}
	if len(told) != made+1 {
		t.Errorf("told of %v", told)
	}
}
