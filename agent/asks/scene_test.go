package asks_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/asks"
	"github.com/argosy-cluster/argosy/agent/control"
	"github.com/argosy-cluster/argosy/proto/ankaios"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// patience bounds what a test waits for that fails.
const patience = 3 * time.Minute

// scene is the handler of an agent, and a cluster with one server.
type scene struct {
	*testing.T
	*cluster
	handler *asks.Handler
	address string
	stop    func() // the server

	mu       sync.Mutex
	assigned map[string]*argosyv1.Workload
	servers  []string
}

func newScene(t *testing.T, change func(*asks.Config)) *scene {
	t.Helper()
	s := &scene{T: t, cluster: newCluster(t), assigned: map[string]*argosyv1.Workload{}}
	s.address, s.stop = s.listen("")
	s.know(s.address)
	cfg := asks.DefaultConfig()
	cfg.Servers = func() []string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.servers
	}
	cfg.Workloads, cfg.Timeout = s, patience
	if change != nil {
		change(&cfg)
	}
	handler, err := asks.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.handler = handler
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = handler.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return s
}

// Workload implements asks.Workloads.
func (s *scene) Workload(name string) *argosyv1.Workload {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.assigned[name]
}

// assign gives the agent a workload with rules, written as "read:mask",
// "write:mask", "log:name", and with "!" before them when they deny.
func (s *scene) assign(name string, rules ...string) *argosyv1.InstanceName {
	w := workload(name)
	given := &argosyv1.ControlInterfaceAccess{}
	for _, text := range rules {
		list := &given.AllowRules
		if strings.HasPrefix(text, "!") {
			text, list = text[1:], &given.DenyRules
		}
		kind, what, _ := strings.Cut(text, ":")
		rule := &argosyv1.AccessRule{Kind: &argosyv1.AccessRule_Log{Log: &argosyv1.LogRule{WorkloadNames: []string{what}}}}
		if kind != "log" {
			operation := map[string]argosyv1.AccessOperation{
				"read": argosyv1.AccessOperation_ACCESS_OPERATION_READ, "write": argosyv1.AccessOperation_ACCESS_OPERATION_WRITE,
				"all": argosyv1.AccessOperation_ACCESS_OPERATION_READ_WRITE,
			}[kind]
			rule.Kind = &argosyv1.AccessRule_State{State: &argosyv1.StateRule{Operation: operation, FilterMasks: []string{what}}}
		}
		*list = append(*list, rule)
	}
	w.ControlInterfaceAccess = given
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assigned[name] = w
	return argosyv1.InstanceOf(w)
}

func (s *scene) know(addresses ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers = addresses
}

func workload(name string) *argosyv1.Workload {
	return &argosyv1.Workload{Name: name, Agent: "agent_A", Runtime: "process", RuntimeConfig: "command: [" + name + "]"}
}

// ask carries out a request that has an end, and returns the last response.
func (s *scene) ask(by *argosyv1.InstanceName, request *ankaios.Request) (*ankaios.Response, error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	var last *ankaios.Response
	err := s.handler.Handle(ctx, by, request, func(r *ankaios.Response) error { last = r; return nil })
	return last, err
}

func (s *scene) mustAsk(by *argosyv1.InstanceName, request *ankaios.Request) *ankaios.Response {
	s.Helper()
	response, err := s.ask(by, request)
	if err != nil {
		s.Fatal(err)
	}
	return response
}

// subscription is a request that goes on.
type subscription struct {
	*testing.T
	responses chan *ankaios.Response
	ended     chan struct{}
	err       error
	cancel    context.CancelCauseFunc
}

// begin carries out a request that goes on. Its reader takes up to so many
// responses before somebody looks at them.
func (s *scene) begin(by *argosyv1.InstanceName, request *ankaios.Request, room int) *subscription {
	s.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	sub := &subscription{T: s.T, responses: make(chan *ankaios.Response, room), ended: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(sub.ended)
		sub.err = s.handler.Handle(ctx, by, request, func(r *ankaios.Response) error {
			select {
			case sub.responses <- r:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}()
	s.Cleanup(func() { cancel(control.ErrEnded); <-sub.ended })
	return sub
}

func (s *subscription) next() *ankaios.Response {
	s.Helper()
	select {
	case r := <-s.responses:
		return r
	case <-s.ended:
	case <-time.After(patience):
		s.Fatal("nothing comes")
	}
	select {
	case r := <-s.responses: // the last ones
		return r
	default:
		s.Fatalf("the request has ended: %v", s.err)
		return nil
	}
}

// event returns what the next event says: what was added, updated and removed.
func (s *subscription) event() string {
	s.Helper()
	altered := s.next().GetCompleteStateResponse().GetAlteredFields()
	if altered == nil {
		return "current"
	}
	var parts []string
	for _, field := range altered.GetAddedFields() {
		parts = append(parts, "+"+field)
	}
	for _, field := range altered.GetUpdatedFields() {
		parts = append(parts, "~"+field)
	}
	for _, field := range altered.GetRemovedFields() {
		parts = append(parts, "-"+field)
	}
	return strings.Join(parts, " ")
}

func (s *subscription) wantEvent(want string) {
	s.Helper()
	if got := s.event(); got != want {
		s.Fatalf("told %q, want %q", got, want)
	}
}

// wantEnd waits for the end of the request.
func (s *subscription) wantEnd(want error) {
	s.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.Fatal("it goes on")
	}
	if !errors.Is(s.err, want) {
		s.Fatalf("it ended with %v, want %v", s.err, want)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// stateOf is a state in the messages of workloads.
func stateOf(workloads ...string) *ankaios.CompleteState {
	all := map[string]*ankaios.Workload{}
	for _, name := range workloads {
		agent, runtime, config := "agent_A", "process", fmt.Sprintf("command: [%s]", name)
		all[name] = &ankaios.Workload{Agent: &agent, Runtime: &runtime, RuntimeConfig: &config}
	}
	return &ankaios.CompleteState{DesiredState: &ankaios.State{ApiVersion: "v1", Workloads: &ankaios.WorkloadMap{Workloads: all}}}
}
