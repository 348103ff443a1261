package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/agent/control"
	"github.com/argosy-cluster/argosy/agent/control/controltest"
	"github.com/argosy-cluster/argosy/proto/ankaios"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handlerFunc is a Handler.
type handlerFunc func(ctx context.Context, instance *argosyv1.InstanceName, r *ankaios.Request, reply func(*ankaios.Response) error) error

func (f handlerFunc) Handle(ctx context.Context, instance *argosyv1.InstanceName, r *ankaios.Request, reply func(*ankaios.Response) error) error {
	return f(ctx, instance, r, reply)
}

// answerState answers requests for the state with its version, "api", and changes
// of it with success; subscriptions get one answer and go on until they are ended.
func answerState(ctx context.Context, _ *argosyv1.InstanceName, r *ankaios.Request, reply func(*ankaios.Response) error) error {
	switch content := r.GetRequestContent().(type) {
	case *ankaios.Request_CompleteStateRequest:
		if err := reply(stateResponse("api")); err != nil || !content.CompleteStateRequest.GetSubscribeForEvents() {
			return err
		}
	case *ankaios.Request_UpdateStateRequest:
		return reply(&ankaios.Response{ResponseContent: &ankaios.Response_UpdateStateSuccess{UpdateStateSuccess: &ankaios.UpdateStateSuccess{}}})
	case *ankaios.Request_LogsRequest:
		if err := reply(&ankaios.Response{ResponseContent: &ankaios.Response_LogsRequestAccepted{LogsRequestAccepted: &ankaios.LogsRequestAccepted{}}}); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func stateResponse(version string) *ankaios.Response {
	return &ankaios.Response{ResponseContent: &ankaios.Response_CompleteStateResponse{CompleteStateResponse: &ankaios.CompleteStateResponse{
		CompleteState: &ankaios.CompleteState{DesiredState: &ankaios.State{ApiVersion: version}}}}}
}

func logResponse(text string) *ankaios.Response {
	return &ankaios.Response{ResponseContent: &ankaios.Response_LogEntriesResponse{LogEntriesResponse: &ankaios.LogEntriesResponse{
		LogEntries: []*ankaios.LogEntry{{Message: text}}}}}
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) contains(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.text.String(), text)
}

// world is a run folder, and an agent that can be started on it again and again.
type world struct {
	*testing.T
	ctx context.Context
	cfg control.Config
	log *logBuffer

	manager *control.Manager
	stop    func()
}

func newWorld(t *testing.T, change func(*control.Config)) *world {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Minute, errors.New("the test waited for too long"))
	t.Cleanup(cancel)
	w := &world{T: t, ctx: ctx, cfg: control.DefaultConfig(), log: &logBuffer{}}
	w.cfg.Dir, w.cfg.Agent, w.cfg.Handler = t.TempDir(), "agent_A", handlerFunc(answerState)
	w.cfg.Logger = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if change != nil {
		change(&w.cfg)
	}
	w.startAgent()
	t.Cleanup(func() {
		w.stop()
		if t.Failed() {
			t.Log(w.log.text.String())
		}
	})
	return w
}

func (w *world) startAgent() {
	w.Helper()
	manager, err := control.New(w.cfg)
	if err != nil {
		w.Fatal(err)
	}
	w.run(manager)
}

func (w *world) run(manager *control.Manager) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- manager.Run(ctx) }()
	w.manager = manager
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Errorf("run: %v", err)
		}
	})
}

func instance(name string) *argosyv1.InstanceName {
	return &argosyv1.InstanceName{Workload: name, Agent: "agent_A", Id: argosyv1.InstanceID("image: " + name)}
}

// open returns the folder of an interface that is served.
func (w *world) open(name string) string {
	w.Helper()
	folder, err := w.manager.Open(instance(name))
	if err != nil {
		w.Fatal(err)
	}
	return folder
}

// dial returns a client; an agent that was just started may not be there yet.
func (w *world) dial(folder string) *controltest.Client {
	w.Helper()
	var client *controltest.Client
	w.await("the agent has the pipe open", func() (err error) {
		client, err = controltest.Dial(folder)
		return err
	})
	w.Cleanup(client.Close)
	return client
}

// await tries until it succeeds.
func (w *world) await(what string, try func() error) {
	w.Helper()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-w.ctx.Done():
			w.Fatalf("waited in vain: %s: %v", what, err)
		case <-time.After(time.Millisecond):
		}
	}
}

// session returns a client that has said Hello.
func (w *world) session(folder string) *controltest.Client {
	w.Helper()
	client := w.dial(folder)
	if err := client.Hello(w.ctx); err != nil {
		w.Fatal(err)
	}
	return client
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) receive(c *controltest.Client) *ankaios.FromAnkaios {
	w.Helper()
	message, err := c.Receive(w.ctx)
	w.must(err)
	return message
}

// wantClosed receives the next message: that the connection was closed, and why.
func (w *world) wantClosed(c *controltest.Client, reason string) {
	w.Helper()
	message := w.receive(c)
	if got := message.GetConnectionClosed().GetReason(); got != reason || message.GetConnectionClosed() == nil {
		w.Fatalf("got %v, want connection closed: %q", message, reason)
	}
}

// wantServed sends a request and gets its answer.
func (w *world) wantServed(c *controltest.Client, id string) {
	w.Helper()
	response, err := c.Request(w.ctx, controltest.Get(id))
	w.must(err)
	if got := response.GetCompleteStateResponse().GetCompleteState().GetDesiredState().GetApiVersion(); got != "api" {
		w.Fatalf("got %v, want the state", response)
	}
}

// wantError gets the next response with the id: an error with the text in it.
func (w *world) wantError(c *controltest.Client, id, text string) {
	w.Helper()
	response, err := c.Response(w.ctx, id)
	w.must(err)
	if got := response.GetError().GetMessage(); !strings.Contains(got, text) || response.GetError() == nil {
		w.Fatalf("got %v, want an error with %q", response, text)
	}
}

func (w *world) awaitLog(text string) {
	w.Helper()
	w.await("log says "+text, func() error {
		if !w.log.contains(text) {
			return fmt.Errorf("it does not")
		}
		return nil
	})
}
