// Command control-interface starts a workload by the control interface of the one
// that it runs in, and waits until that runs. It shows all that it takes to speak
// there: two pipes, and messages each of which follows its length.
//
// An image of it needs no base and no registry:
//
//	CGO_ENABLED=0 go build -o control-interface ./examples/control-interface
//	tar -c control-interface | podman import -c 'ENTRYPOINT ["/control-interface"]' - localhost/argosy-control-interface:1
package main

import (
	"bufio"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/argosy-cluster/argosy/proto/ankaios"
)

func main() {
	var w wanted
	flag.StringVar(&w.name, "name", "started", "name of the workload to start")
	flag.StringVar(&w.agent, "agent", "", "agent that shall run it")
	flag.StringVar(&w.runtime, "runtime", "podman", "its runtime")
	flag.StringVar(&w.config, "config", "", "its runtimeConfig")
	rest := flag.Bool("rest", false, "do nothing until told to stop")
	flag.Parse()
	if *rest {
		fmt.Println("resting")
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
		<-stop
		return
	}
	for {
		err := w.start()
		if err == nil {
			return
		}
		fmt.Fprintln(os.Stderr, "control-interface:", err)
		if errors.Is(err, errRefused) {
			os.Exit(1)
		}
		// The agent is being started again, or no server answers it: the workload is
		// asked for once more, which changes nothing if it is there.
		time.Sleep(time.Second)
	}
}

// errRefused is returned for what will not be otherwise the next time.
var errRefused = errors.New("refused")

// wanted is the workload to start.
type wanted struct{ name, agent, runtime, config string }

// start asks for the workload, and returns once it runs.
func (w wanted) start() error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.hello(); err != nil {
		return err
	}
	// Subscribed first, so that nothing is missed.
	err = c.send(&ankaios.Request{RequestId: "events", RequestContent: &ankaios.Request_CompleteStateRequest{
		CompleteStateRequest: &ankaios.CompleteStateRequest{FieldMask: []string{"workloadStates.*." + w.name}, SubscribeForEvents: true}}})
	if err == nil {
		err = c.send(&ankaios.Request{RequestId: "update", RequestContent: &ankaios.Request_UpdateStateRequest{
			UpdateStateRequest: &ankaios.UpdateStateRequest{NewState: w.state(), UpdateMask: []string{"desiredState.workloads." + w.name}}}})
	}
	updated := false
	for err == nil {
		var response *ankaios.Response
		if response, err = c.receive(); err != nil {
			break
		}
		switch content := response.GetResponseContent().(type) {
		case *ankaios.Response_Error:
			return failure(content.Error.GetMessage())
		case *ankaios.Response_UpdateStateSuccess:
			updated = true
			fmt.Println("added:", strings.Join(content.UpdateStateSuccess.GetAddedWorkloads(), " "))
		case *ankaios.Response_CompleteStateResponse:
			if w.runs(content.CompleteStateResponse.GetCompleteState()) && updated {
				fmt.Println(w.name, "runs")
				return nil
			}
		}
	}
	return err
}

// failure tells what the rules or the state do not allow from what may be
// otherwise in a moment.
func failure(text string) error {
	if text == "Access denied" || strings.HasPrefix(text, "Update rejected") {
		return fmt.Errorf("%w: %s", errRefused, text)
	}
	return errors.New(text)
}

// state is the state with the workload, as Ankaios has it.
func (w wanted) state() *ankaios.CompleteState {
	return &ankaios.CompleteState{DesiredState: &ankaios.State{ApiVersion: "v1", Workloads: &ankaios.WorkloadMap{
		Workloads: map[string]*ankaios.Workload{w.name: {Agent: &w.agent, Runtime: &w.runtime, RuntimeConfig: &w.config}}}}}
}

// runs tells whether an instance of the workload is said to run.
func (w wanted) runs(state *ankaios.CompleteState) bool {
	for _, states := range state.GetWorkloadStates().GetAgentStateMap() {
		for _, execution := range states.GetWlNameStateMap()[w.name].GetIdStateMap() {
			fmt.Println(w.name, "is", execution)
			if _, ok := execution.GetExecutionStateEnum().(*ankaios.ExecutionState_Running); ok {
				return true
			}
		}
	}
	return false
}

// conn is the control interface as a workload sees it.
type conn struct {
	output, input *os.File
	reader        *bufio.Reader
}

// dial opens both pipes; it waits until the agent has.
func dial() (*conn, error) {
	// The runtime process has no mounts: it tells where the folder is.
	folder := cmp.Or(os.Getenv("ARGOSY_CONTROL_INTERFACE"), "/run/ankaios/control_interface")
	output, err := os.OpenFile(filepath.Join(folder, "output"), os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("open control interface: %w", err)
	}
	input, err := os.Open(filepath.Join(folder, "input"))
	if err != nil {
		_ = output.Close()
		return nil, fmt.Errorf("open control interface: %w", err)
	}
	return &conn{output: output, input: input, reader: bufio.NewReader(input)}, nil
}

func (c *conn) close() {
	_ = c.output.Close()
	_ = c.input.Close()
}

// hello begins a session.
func (c *conn) hello() error {
	_, err := protodelim.MarshalTo(c.output, &ankaios.ToAnkaios{ToAnkaiosEnum: &ankaios.ToAnkaios_Hello{Hello: &ankaios.Hello{ProtocolVersion: "1.0.0"}}})
	for err == nil {
		answer := &ankaios.FromAnkaios{}
		if err = protodelim.UnmarshalFrom(c.reader, answer); err != nil {
			break
		}
		if closed := answer.GetConnectionClosed(); closed != nil {
			return fmt.Errorf("%w: %s", errRefused, closed.GetReason())
		}
		if answer.GetControlInterfaceAccepted() != nil {
			return nil
		}
	}
	return fmt.Errorf("say hello: %w", err)
}

func (c *conn) send(request *ankaios.Request) error {
	message := &ankaios.ToAnkaios{ToAnkaiosEnum: &ankaios.ToAnkaios_Request{Request: request}}
	if _, err := protodelim.MarshalTo(c.output, message); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	return nil
}

func (c *conn) receive() (*ankaios.Response, error) {
	message := &ankaios.FromAnkaios{}
	if err := protodelim.UnmarshalFrom(c.reader, message); err != nil {
		return nil, fmt.Errorf("receive response: %w", err)
	}
	if closed := message.GetConnectionClosed(); closed != nil {
		return nil, fmt.Errorf("connection closed: %s", closed.GetReason())
	}
	return message.GetResponse(), nil
}
